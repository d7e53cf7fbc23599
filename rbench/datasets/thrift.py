"""Structs in Thrift's compact protocol, in which a parquet file describes itself: fields by their numbers, as parquet.thrift has them."""

from typing import Any

Fields = dict[int, Any]
_DEEPEST = 16
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_NUMBERS = (4, 5, 6)


def read_struct(content: bytes) -> tuple[Fields, int]:
    """The struct that some bytes begin with, and its length.

    Integers are numbers, texts bytes, lists lists and structs maps; of anything else there is None.

    Raises:
        IndexError: the bytes end before it does.
        ValueError: it is none.
    """
    reader = _Reader(content)
    return reader.struct(0), reader.at


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def struct(self, depth: int) -> Fields:
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        fields, number = Fields(), 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else _signed(self._varint())
            kind = head & 15
            fields[number] = None if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _NUMBERS:
            return _signed(self._varint())
        if kind == _BINARY:
            return self._bytes(self._varint())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            head = self._byte()
            count = self._varint() if head >> 4 == 15 else head >> 4
            return [self._item(head & 15, depth) for _ in range(count)]
        if kind == _MAP:
            count = self._varint()
            kinds = self._byte() if count else 0
            for _ in range(count):
                self._item(kinds >> 4, depth)
                self._item(kinds & 15, depth)
            return None
        if kind not in (_BYTE, _DOUBLE):
            raise ValueError("another protocol")
        self._bytes(1 if kind == _BYTE else 8)
        return None

    def _item(self, kind: int, depth: int) -> Any:
        return self._bytes(1) if kind in (_TRUE, _FALSE) else self._value(kind, depth + 1)

    def _byte(self) -> int:
        self.at += 1
        return self.content[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def _bytes(self, count: int) -> bytes:
        start, self.at = self.at, self.at + count
        if self.at > len(self.content):
            raise IndexError(self.at)
        return self.content[start : self.at]


def _signed(number: int) -> int:
    return (number >> 1) ^ -(number & 1)
