"""Pictures and labels of Arrow files, as the datasets library saves and caches them; mapped into memory, never unpacked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from rbench.datasets.arrow_messages import FILE_MAGIC, refuse_packed_messages
from rbench.datasets.files import reading

# What a table of pictures looks like is the same in both formats, and parquet.py says it.
from rbench.datasets.parquet import _class_names, _column, _holds_pictures, _labels
from rbench.datasets.pictures import Geometry, read_picture, stack
from rbench.datasets.types import Dataset, Ids, Images
from rbench.errors import InputError

_WHAT = "an Arrow file"


def read_arrow(
    paths: Sequence[Path], source: Path, *, image: str | None, label: str | None, geometry: Geometry
) -> Dataset:
    """The pictures and class numbers of some files, one after the other.

    Args:
        paths: the files; all of one data set.
        source: what to call them together in messages.
        image: name of the column of encoded pictures; the only such column if None.
        label: name of the column of class numbers; `label` or the only column of integers if None.
        geometry: what is done to each picture.

    Raises:
        InputError: a file is damaged, compressed or of another kind, or its columns are.
    """
    tables = [_table(path) for path in paths]
    schema = tables[0].schema
    image = _column(source, schema, "image", image, [f.name for f in schema if _holds_pictures(f.type)])
    label = _column(source, schema, "label", label, [f.name for f in schema if pa.types.is_integer(f.type)])
    names = _class_names(schema, label)
    parts = [_columns(path, table, image, label, names) for path, table in zip(paths, tables, strict=True)]
    pictures = [picture for picture, _ in parts]
    labels = _labels(source, [numbers for _, numbers in parts], label)
    starts = np.cumsum([0, *(len(column) for column in pictures)])
    changes: dict[int, tuple[str, ...]] = {}

    def picture(sample: int) -> Images:
        part = int(np.searchsorted(starts, sample, side="right")) - 1
        where = f"{source}: {image}: sample {sample}"
        with reading(where, "a value of an Arrow file"):
            value = pictures[part][sample - int(starts[part])].as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if not content:
            remedy = "store the encoded pictures in the file, not only their paths"
            raise InputError("no bytes", place=where, remedy=remedy)
        pixels, changes[sample] = read_picture(content, where, geometry)
        return pixels

    def read(ids: Ids) -> Images:
        return stack([picture(int(i)) for i in ids], ids.tolist(), str(source))

    return Dataset(labels, read, names, {"source": str(source)}, changes=changes)


def _table(path: Path) -> pa.Table:
    """All of a file, mapped into memory."""
    refuse_packed_messages(path)
    with reading(path, _WHAT):
        mapped = pa.memory_map(str(path))
        # The messages of a random-access file are a stream too; what its footer points at nobody has looked at.
        mapped.seek(8 if mapped.read(len(FILE_MAGIC)) == FILE_MAGIC else 0)
        table = pa.ipc.open_stream(mapped).read_all()
        for column in table.schema:  # names are decoded when they are asked for, and need be no text
            inner = column.type if pa.types.is_struct(column.type) else ()
            if not all(one.name.isprintable() for one in (column, *inner)):
                raise ValueError("a column whose name cannot be shown")
        return table


def _columns(
    path: Path, table: pa.Table, image: str, label: str, names: tuple[str, ...]
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The two columns of a file, whose offsets lie within its bytes.

    Raises:
        InputError: it has not both of them, or numbers the classes otherwise than the first file, or is damaged.
    """
    for column in (image, label):
        if column not in table.schema.names:
            found = ", ".join(table.schema.names)[:200]
            raise InputError(f"no column '{column}', which the first file has", place=path, found=found)
    own = _class_names(table.schema, label)
    if own != names:
        found, remedy = f"{len(own)} names, {len(names)} in the first file", "are they files of one data set?"
        raise InputError("other class names than the first file", place=path, found=found, remedy=remedy)
    with reading(path, _WHAT):
        wanted = table.select([image, label])
        wanted.validate(full=True)
    return wanted.column(image), wanted.column(label)
