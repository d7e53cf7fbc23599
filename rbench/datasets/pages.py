"""The pages of a column of a parquet file, as their own headers declare them: the sizes in the footer may be others.

A header is a struct in Thrift's compact protocol (parquet.thrift, `PageHeader`): after its type the sizes of the page, unpacked and packed.
"""

from pathlib import Path
from typing import IO

import pyarrow.parquet as pq

_HEADER = 2**24
"""Bytes of the largest header that is read, as in Arrow."""
_FIRST = 2**12
_UNPACKED, _PACKED = 2, 3
_STOP, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 0, 3, 7, 8, 9, 10, 11, 12
_NUMBERS = (4, 5, 6)
_BOOLEANS = (1, 2)
_DEEPEST = 16


def unpacked_pages(path: Path, chunk: pq.ColumnChunkMetaData) -> int:
    """Bytes of all pages of a column chunk when unpacked.

    Args:
        path: of the file.
        chunk: as the footer describes it.

    Raises:
        ValueError: the pages are no pages, or do not fit into the file.
    """
    offsets = [chunk.data_page_offset]
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        offsets.append(chunk.dictionary_page_offset)
    start, total = min(offsets), 0
    end = start + chunk.total_compressed_size
    with path.open("rb") as file:
        while start < end:
            header = _header(file, start, min(end - start, _HEADER))
            total += header[_UNPACKED]
            start += header[0] + header[_PACKED]
    return total


def _header(file: IO[bytes], start: int, most: int) -> dict[int, int]:
    """The integers of a header by the number of their field; under 0 its length."""
    length = min(_FIRST, most)
    while True:
        file.seek(start)
        reader = _Reader(file.read(length))
        try:
            fields = reader.struct()
        except IndexError:
            if length >= most:
                raise ValueError("a page header that does not end") from None
            length = min(most, 16 * length)
            continue
        if min(fields.get(_UNPACKED, -1), fields.get(_PACKED, -1)) < 0:
            raise ValueError("a page header without sizes")
        return {**fields, 0: reader.at}


class _Reader:
    """Steps through a struct; an `IndexError` where its bytes end before it does."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def struct(self, depth: int = 0) -> dict[int, int]:
        """Its fields that are integers, by their numbers."""
        if depth > _DEEPEST:
            raise ValueError("a page header that is nested too deep")
        fields, number = dict[int, int](), 0
        while (head := self._byte()) & 15 != _STOP:
            number = number + (head >> 4) if head >> 4 else _signed(self._varint())
            value = self._value(head & 15, depth)
            if value is not None:
                fields[number] = value
        return fields

    def _value(self, kind: int, depth: int) -> int | None:
        if kind in _NUMBERS:
            return _signed(self._varint())
        if kind == _STRUCT:
            self.struct(depth + 1)
        elif kind == _BYTE:
            self._skip(1)
        elif kind == _DOUBLE:
            self._skip(8)
        elif kind == _BINARY:
            self._skip(self._varint())
        elif kind in (_LIST, _SET):
            head = self._byte()
            self._items([head & 15], self._varint() if head >> 4 == 15 else head >> 4, depth)
        elif kind == _MAP:
            if count := self._varint():
                kinds = self._byte()
                self._items([kinds >> 4, kinds & 15], count, depth)
        elif kind not in _BOOLEANS:
            raise ValueError("a page header of another protocol")
        return None

    def _items(self, kinds: list[int], count: int, depth: int) -> None:
        for _ in range(count):
            for kind in kinds:
                if kind in _BOOLEANS:
                    self._skip(1)
                else:
                    self._value(kind, depth + 1)

    def _byte(self) -> int:
        self.at += 1
        return self.content[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a number of more than 64 bits in a page header")

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self.content):
            raise IndexError(self.at)


def _signed(number: int) -> int:
    return (number >> 1) ^ -(number & 1)
