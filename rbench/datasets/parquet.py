"""Parquet files in the Hugging Face image layout."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rbench.datasets.files import reading, require
from rbench.datasets.pictures import Channels, Geometry, Side, open_picture, stack
from rbench.datasets.types import Dataset, Ids, Images, Labels, check_labels
from rbench.errors import InputError

_GROUPS_KEPT = 8
"""Row groups held in memory: in a shuffled read of a file of at most so many, each is decoded once."""


def files(path: Path, **_: object) -> list[Path]:
    """The files whose bytes decide the outcome: the file, or the shards of a folder sorted by name."""
    if not path.is_dir():
        return [require(path, "parquet file, or a folder of its shards")]
    shards = sorted(path.glob("*.parquet"))
    if not shards:
        remedy = "give the file, or the folder of its shards"
        raise InputError("no .parquet files in this folder", place=path, remedy=remedy)
    return shards


def parquet(
    path: Path,
    *,
    image: str | None = None,
    label: str | None = None,
    size: Side | None = None,
    crop: Side | None = None,
    channels: Channels = "auto",
) -> Dataset:
    """Encoded pictures and class numbers in a parquet file, as Hugging Face datasets store them.

    Pictures (a struct with `bytes`, or plain bytes; PNG, JPEG, BMP, PPM, WEBP, TIFF or GIF) are decoded when they are read; class
    names come from the file's `huggingface` metadata where it has them.

    Args:
        path: the .parquet file, or a folder of shards.
        image: name of the column of pictures; the only such column if not given.
        label: name of the column of class numbers; `label` or the only column of integers if not given.
        size: length that the shorter side is resized to (bilinear, antialiased).
        crop: side of the square cut out of the centre.
        channels: 1 for grey, 3 for RGB; `auto` takes each picture as it is stored.
    """
    shards = files(path)
    with reading(path, "a parquet file"):
        opened = [pq.ParquetFile(shard) for shard in shards]
        schema = opened[0].schema_arrow
    image = _column(path, schema, "image", image, [f.name for f in schema if _holds_pictures(f.type)])
    label = _column(path, schema, "label", label, [f.name for f in schema if pa.types.is_integer(f.type)])
    with reading(path, "a parquet file"):
        labels = _labels(path, pa.concat_tables([file.read([label]) for file in opened]).column(0), label)
    groups = [(file, group) for file in opened for group in range(file.num_row_groups)]
    starts = np.cumsum([0] + [file.metadata.row_group(group).num_rows for file, group in groups])
    geometry = Geometry(size, crop, channels)

    @lru_cache(maxsize=_GROUPS_KEPT)
    def column(group: int) -> pa.ChunkedArray:
        file, number = groups[group]
        with reading(path, "a parquet file"):
            return file.read_row_group(number, [image]).column(0)

    def picture(sample: int) -> Images:
        group = int(np.searchsorted(starts, sample, side="right")) - 1
        value = column(group)[sample - int(starts[group])].as_py()
        where = f"{path}: {image}: sample {sample}"
        content = value.get("bytes") if isinstance(value, dict) else value
        if not content:
            remedy = "store the encoded pictures in the file, not only their paths"
            raise InputError("no bytes", place=where, remedy=remedy)
        with open_picture(content, where) as decoded:
            return geometry.pixels(decoded, where)

    def read(ids: Ids) -> Images:
        return stack([picture(int(i)) for i in ids], ids.tolist(), str(path))

    return Dataset(labels, read, _class_names(schema, label), {"source": str(path)})


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


def _labels(path: Path, column: pa.ChunkedArray, name: str) -> Labels:
    if column.null_count:
        first = int(np.flatnonzero(column.is_null().to_numpy())[0])
        problem, remedy = f"sample {first} has no label", "leave it out or label it"
        raise InputError(problem, place=f"{path}: {name}", remedy=remedy)
    return check_labels(column.to_numpy(), f"{path}: {name}")


def _class_names(schema: pa.Schema, label: str) -> tuple[str, ...]:
    """The names that the Hugging Face metadata give the classes; nothing if they give none."""
    try:
        document: Any = json.loads((schema.metadata or {})[b"huggingface"])
        names = document["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()
