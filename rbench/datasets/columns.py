"""Columns of a parquet file, whose sizes are looked at before anything is unpacked; a value that is there often is unpacked once."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rbench.datasets.pages import unpacked_pages
from rbench.datasets.sizes import file_size, refuse_unpacked

Group = tuple[pq.ParquetFile, int, int]
"""A file, one of its row groups, and how many rows that has."""
_LABEL_BYTES = 8


def refuse_large(files: Sequence[pq.ParquetFile], paths: Sequence[Path], columns: Sequence[str]) -> None:
    """Refuses columns that are out of proportion to their files.

    A row group is unpacked at once and its largest one counts; of labels, those of all rows.

    Args:
        files: opened.
        paths: where they are.
        columns: their names.

    Raises:
        InputError: a group, or the number of rows, is too large.
        ValueError: the pages of a column are none.
    """
    for file, path in zip(files, paths, strict=True):
        stored, metadata = file_size(path), file.metadata
        refuse_unpacked(_LABEL_BYTES * metadata.num_rows, stored, path, "labels")
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            chunks = [row_group.column(number) for number in range(row_group.num_columns)]
            named = [chunk for chunk in chunks if chunk.path_in_schema.split(".")[0] in columns]
            declared = sum(max(chunk.total_uncompressed_size, unpacked_pages(path, chunk)) for chunk in named)
            refuse_unpacked(declared, stored, path, f"row group {group}")


def read_labels(file: pq.ParquetFile, column: str) -> pa.ChunkedArray:
    """A column of numbers; of any other type the first value alone, which is enough to refuse it.

    Raises:
        ValueError: there are fewer than rows.
    """
    if pa.types.is_integer(file.schema_arrow.field(column).type):
        labels = file.read([column]).column(0)
        if len(labels) != file.metadata.num_rows:
            raise ValueError(f"{len(labels)} labels for {file.metadata.num_rows} rows")
        return labels
    first = next(file.iter_batches(batch_size=1, columns=[column]), None)
    return pa.chunked_array([] if first is None else [first.column(0)], file.schema_arrow.field(column).type)


def opened_groups(paths: Sequence[Path], plain: Sequence[pq.ParquetFile], image: str) -> list[Group]:
    """All row groups, in order, of files that are opened so that equal pictures are unpacked to one.

    A thousand rows may point at one megabyte: read as plain values they are a gigabyte.

    Args:
        paths: of the files.
        plain: the files, opened as they are.
        image: name of the column of pictures.
    """
    groups = list[Group]()
    for path, file in zip(paths, plain, strict=True):
        type_ = file.schema_arrow.field(image).type
        column = f"{image}.bytes" if pa.types.is_struct(type_) else image
        once = pq.ParquetFile(path, read_dictionary=[column], page_checksum_verification=True)
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        groups += [(once, group, rows) for group, rows in enumerate(sizes)]
    return groups
