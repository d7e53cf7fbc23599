"""Parquet files in the Hugging Face image layout."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rbench.datasets.columns import opened_groups, read_labels
from rbench.datasets.files import reading, require
from rbench.datasets.pictures import Channels, Geometry, Side, read_picture, stack
from rbench.datasets.shards import Shards, shards_of
from rbench.datasets.types import Dataset, Ids, Images, Labels, check_labels
from rbench.errors import InputError

_GROUPS_KEPT = 8
"""Row groups held in memory: in a shuffled read of a file of at most so many, each is decoded once."""


def files(path: Path, *, split: str | None = None, **_: object) -> list[Path]:
    """The files whose bytes decide the outcome: the file, or the shards of one split in a folder, sorted by name."""
    return _shards(path, split).files


def parquet(
    path: Path,
    *,
    split: str | None = None,
    image: str | None = None,
    label: str | None = None,
    size: Side | None = None,
    crop: Side | None = None,
    channels: Channels = "auto",
) -> Dataset:
    """Encoded pictures and class numbers in a parquet file, as Hugging Face datasets store them.

    Pictures (a struct with `bytes`, or plain bytes; PNG, JPEG, BMP, PPM, WEBP, TIFF, GIF, and JPEG 2000 and AVIF where Pillow reads them)
    are decoded when they are read; class names come from the file's `huggingface` metadata where it has them.

    Args:
        path: the .parquet file, or a folder of shards.
        split: which part of a folder with several, as the names of its files say: `test` of `test-00000-of-00002.parquet`.
        image: name of the column of pictures; the only such column if not given.
        label: name of the column of class numbers; `label` or the only column of integers if not given.
        size: length that the shorter side is resized to (bilinear, antialiased).
        crop: side of the square cut out of the centre.
        channels: 1 for grey, 3 for RGB; `auto` takes each picture as it is stored.
    """
    shards = _shards(path, split)
    with reading(path, "a parquet file"):
        plain = [pq.ParquetFile(shard, page_checksum_verification=True) for shard in shards.files]
        schema = plain[0].schema_arrow
    image = _column(path, schema, "image", image, [f.name for f in schema if _holds_pictures(f.type)])
    label = _column(path, schema, "label", label, [f.name for f in schema if pa.types.is_integer(f.type)])
    names = [_class_names(file.schema_arrow, label) for file in plain]
    _refuse_unlike(shards.files, plain, (image, label), names)
    with reading(path, "a parquet file"):
        groups = opened_groups(shards.files, plain, image, label)
        labels = _labels(path, [read_labels(file, label) for file in plain], label)
        starts = np.cumsum([0] + [rows for _, _, rows in groups])
        if len(labels) != starts[-1]:
            raise ValueError(f"{len(labels)} labels for {starts[-1]} rows")
    geometry = Geometry(size, crop, channels)
    changes: dict[int, tuple[str, ...]] = {}

    @lru_cache(maxsize=_GROUPS_KEPT)
    def column(group: int) -> pa.ChunkedArray:
        file, number, rows = groups[group]
        with reading(path, "a parquet file"):
            pictures = file.read_row_group(number, [image]).column(0)
            if len(pictures) != rows:
                raise ValueError(f"{len(pictures)} pictures for {rows} rows")
            return pictures

    def picture(sample: int) -> Images:
        group = int(np.searchsorted(starts, sample, side="right")) - 1
        value = column(group)[sample - int(starts[group])].as_py()
        where = f"{path}: {image}: sample {sample}"
        content = value.get("bytes") if isinstance(value, dict) else value
        if not content:
            remedy = "store the encoded pictures in the file, not only their paths"
            raise InputError("no bytes", place=where, remedy=remedy)
        pixels, changes[sample] = read_picture(content, where, geometry)
        return pixels

    def read(ids: Ids) -> Images:
        return stack([picture(int(i)) for i in ids], ids.tolist(), str(path))

    provenance = {"source": str(path), **({} if shards.split is None else {"split": shards.split})}
    return Dataset(labels, read, names[0], provenance, notes=shards.notes, changes=changes)


def _shards(path: Path, split: str | None) -> Shards:
    if path.is_dir():
        return shards_of(path, split)
    file = require(path, "parquet file, or a folder of its shards")
    if split is not None:
        remedy = "leave split out, or give the folder of all shards"
        raise InputError("one file has one split", place=file, found=f"split: {split}", remedy=remedy)
    return Shards([file])


def _refuse_unlike(
    paths: list[Path], opened: list[pq.ParquetFile], columns: tuple[str, str], names: list[tuple[str, ...]]
) -> None:
    """Refuses shards that do not number classes alike: a label of one would be another class in the next."""
    for path, file, own in zip(paths, opened, names, strict=True):
        for column in columns:
            if column not in file.schema_arrow.names:
                found = ", ".join(file.schema_arrow.names)[:200]
                raise InputError(f"no column '{column}', which {paths[0].name} has", place=path, found=found)
        if own != names[0]:
            found = f"{len(own)} names, {len(names[0])} in {paths[0].name}"
            remedy = "are they shards of one data set?"
            raise InputError("other class names than the first shard", place=path, found=found, remedy=remedy)


def _holds_pictures(type_: pa.DataType) -> bool:
    if pa.types.is_struct(type_):
        return any(field.name == "bytes" for field in type_)
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_))


def _column(path: Path, schema: pa.Schema, what: str, wanted: str | None, fitting: list[str]) -> str:
    """The column asked for, the one called `what`, or the only fitting one."""
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)[:200]
    remedy = f"name it with {what}: COLUMN"
    if wanted is not None and wanted not in schema.names:
        raise InputError(f"no column '{wanted}'", place=path, found=columns, remedy=remedy)
    if wanted is None and what in schema.names:
        wanted = what
    if wanted is None and len(fitting) == 1:
        wanted = fitting[0]
    if wanted is None:
        raise InputError(f"no telling which column is the {what}", place=path, found=columns, remedy=remedy)
    if what == "image" and wanted not in fitting:
        column = f"{schema.field(wanted).type} in column '{wanted}'"
        problem = "expected encoded pictures (struct with bytes, or binary)"
        raise InputError(problem, place=f"{path}: {what}", found=column, remedy=remedy)
    return wanted


def _labels(path: Path, columns: list[pa.ChunkedArray], name: str) -> Labels:
    start = 0
    for column in columns:
        if column.null_count:
            first = start + int(np.flatnonzero(column.is_null().to_numpy())[0])
            problem, remedy = f"sample {first} has no label", "leave it out or label it"
            raise InputError(problem, place=f"{path}: {name}", remedy=remedy)
        start += len(column)
    return check_labels(np.concatenate([column.to_numpy() for column in columns]), f"{path}: {name}")


def _class_names(schema: pa.Schema, label: str) -> tuple[str, ...]:
    """The names that the Hugging Face metadata give the classes; nothing if they give none."""
    try:
        document: Any = json.loads((schema.metadata or {})[b"huggingface"])
        names = document["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()
