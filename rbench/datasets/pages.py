"""What the columns of a parquet file unpack to, as its footer and the headers of its pages declare it: a footer may say anything.

Read here and not asked of Arrow, which ends the process where a footer contradicts itself (`ColumnChunkMetaData`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rbench.datasets.thrift import Fields, read_struct

_FOOTER = 2**22
"""Bytes of the largest footer."""
_HEADER = 2**24
"""Bytes of the largest header of a page, as in Arrow."""
_FIRST = 2**12
# Numbers of fields in parquet.thrift.
_GROUPS, _COLUMNS, _ROWS, _COLUMN = 4, 1, 3, 3
_PATH, _UNPACKED, _PACKED, _DATA, _DICTIONARY = 3, 6, 7, 9, 11
_PAGE_UNPACKED, _PAGE_PACKED = 2, 3


@dataclass(frozen=True)
class RowGroup:
    """Rows that are unpacked at once.

    Attributes:
        rows: how many.
        unpacked: bytes of the columns asked for.
    """

    rows: int
    unpacked: int


def row_groups(path: Path, columns: tuple[str, ...]) -> list[RowGroup]:
    """The row groups of a file, with what their pages unpack to.

    Args:
        path: a parquet file.
        columns: names of those that count.

    Raises:
        ValueError: the footer or a page is none.
    """
    with path.open("rb") as file:
        footer = _footer(file)
        groups = _items(footer, _GROUPS)
        return [
            RowGroup(_number(group, _ROWS), sum(_unpacked(file, column) for column in _named(group, columns)))
            for group in groups
        ]


def _footer(file: IO[bytes]) -> Fields:
    size = file.seek(0, 2)
    file.seek(max(0, size - 8))
    length = int.from_bytes(file.read(8)[:4], "little")
    if length > min(_FOOTER, size - 8):
        raise ValueError(f"a footer of {length:,} bytes")
    file.seek(size - 8 - length)
    try:
        return read_struct(file.read(length))[0]
    except IndexError:
        raise ValueError("a footer that does not end") from None


def _named(group: Fields, columns: tuple[str, ...]) -> Iterator[Fields]:
    for chunk in _items(group, _COLUMNS):
        column = chunk.get(_COLUMN)
        if not isinstance(column, dict):
            raise ValueError("a column without a description")
        path = column.get(_PATH)
        first = path[0] if isinstance(path, list) and path else b""
        if isinstance(first, bytes) and first.decode(errors="replace") in columns:
            yield column


def _unpacked(file: IO[bytes], column: Fields) -> int:
    """Bytes of all pages of a column, by their headers or by the footer, whichever is more."""
    offsets = [_number(column, _DATA)]
    if column.get(_DICTIONARY):
        offsets.append(_number(column, _DICTIONARY))
    start, total = min(offsets), 0
    end = start + _number(column, _PACKED)
    while start < end:
        header, length = _header(file, start, min(end - start, _HEADER))
        total += _number(header, _PAGE_UNPACKED)
        start += length + _number(header, _PAGE_PACKED)
    return max(total, _number(column, _UNPACKED))


def _header(file: IO[bytes], start: int, most: int) -> tuple[Fields, int]:
    length = min(_FIRST, most)
    while True:
        file.seek(start)
        try:
            return read_struct(file.read(length))
        except IndexError:
            if length >= most:
                raise ValueError("a page header that does not end") from None
        length = min(most, 16 * length)


def _items(fields: Fields, number: int) -> list[Fields]:
    found: Any = fields.get(number)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError("a footer without row groups or columns")
    return found


def _number(fields: Fields, number: int) -> int:
    found = fields.get(number)
    if not isinstance(found, int) or found < 0:
        raise ValueError("a size or place that is no number")
    return found
