"""Columns of a parquet file, whose sizes are looked at before anything is unpacked; a value that is there often is unpacked once."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rbench.datasets.pages import row_groups
from rbench.datasets.sizes import file_size, refuse_unpacked

Group = tuple[pq.ParquetFile, int, int]
"""A file, one of its row groups, and how many rows that has."""
_LABEL_BYTES = 8


def opened_groups(paths: Sequence[Path], plain: Sequence[pq.ParquetFile], image: str, label: str) -> list[Group]:
    """All row groups, in order, of files that are opened so that equal pictures are unpacked to one.

    A thousand rows may point at one megabyte: read as plain values they are a gigabyte.

    Args:
        paths: of the files.
        plain: the files, opened as they are.
        image: name of the column of pictures.
        label: name of the column of class numbers.

    Raises:
        InputError: a row group, which is unpacked at once, or the number of labels is out of proportion to the file.
        ValueError: a footer or a page is none.
    """
    groups = list[Group]()
    for path, file in zip(paths, plain, strict=True):
        stored, found = file_size(path), row_groups(path, (image, label))
        refuse_unpacked(_LABEL_BYTES * sum(group.rows for group in found), stored, path, "labels")
        for number, group in enumerate(found):
            refuse_unpacked(group.unpacked, stored, path, f"row group {number}")
        type_ = file.schema_arrow.field(image).type
        column = f"{image}.bytes" if pa.types.is_struct(type_) else image
        once = pq.ParquetFile(path, read_dictionary=[column], page_checksum_verification=True)
        groups += [(once, number, group.rows) for number, group in enumerate(found)]
    return groups


def read_labels(file: pq.ParquetFile, column: str) -> pa.ChunkedArray:
    """A column of numbers; of any other type the first value alone, which is enough to refuse it."""
    type_ = file.schema_arrow.field(column).type
    if pa.types.is_integer(type_):
        return file.read([column]).column(0)
    first = next(file.iter_batches(batch_size=1, columns=[column]), None)
    return pa.chunked_array([] if first is None else [first.column(0)], type_)
