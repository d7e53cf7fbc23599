"""What the messages of an Arrow file say of themselves, read before Arrow does: a compressed one unpacks to whatever it declares.

The format is that of Arrow's columnar specification: a stream of messages, each a length, a description as a flatbuffer, and a body.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rbench.datasets.files import reading
from rbench.errors import InputError

FILE_MAGIC = b"ARROW1"
"""How a file of the random-access format starts; a stream has none."""
_WHAT = "an Arrow file"
_CONTINUES = 0xFFFFFFFF
_EARLY = b"ARROW:experimental_compression"
"""How files of Arrow 0.17 say it, which are still unpacked."""
_MOST = 2**24
"""Bytes of the largest description of a message."""
# Fields of the tables in Message.fbs and Schema.fbs by their numbers, and kinds of messages.
_KIND, _HEADER, _BODY, _COMPRESSION, _DATA = 1, 2, 3, 3, 1
_DICTIONARY, _RECORDS = 2, 3


def refuse_packed_messages(path: Path) -> None:
    """Refuses an Arrow file with a compressed part, and one whose messages go beyond its end.

    Args:
        path: the file.

    Raises:
        InputError: it is one of these, or no Arrow file.
    """
    with reading(path, _WHAT), path.open("rb") as file:
        for message in _messages(file):
            if _is_packed(message):
                remedy = "save it without compression, as datasets' save_to_disk does"
                raise InputError("a compressed Arrow file", place=path, remedy=remedy)


def _messages(file: IO[bytes]) -> Iterator[bytes]:
    """The descriptions of all messages of a file."""
    size = file.seek(0, 2)
    file.seek(0)
    file.seek(8 if file.read(len(FILE_MAGIC)) == FILE_MAGIC else 0)
    found = 0
    while len(prefix := file.read(8)) == 8:
        marker, length = struct.unpack("<Ii", prefix)
        if marker != _CONTINUES or not 0 <= length <= _MOST:
            raise ValueError("bytes that are no message")
        if not length:  # the end of the stream
            break
        message = file.read(length)
        try:
            body = _integer(message, _field(message, _root(message), _BODY), "<q")
        except struct.error:
            raise ValueError("a message that does not end") from None
        if not 0 <= body <= size - file.tell():
            raise ValueError(f"it ends within a message of {body:,} bytes")
        found += 1
        yield message
        file.seek(body, 1)
    if not found:
        raise ValueError("no message")


def _is_packed(message: bytes) -> bool:
    if _EARLY in message:
        return True
    try:
        root = _root(message)
        kind = _integer(message, _field(message, root, _KIND), "<B")
        header = _pointed(message, _field(message, root, _HEADER))
        if kind == _DICTIONARY and header is not None:
            header = _pointed(message, _field(message, header, _DATA))
        records = kind in (_DICTIONARY, _RECORDS) and header is not None
        return bool(records and _field(message, header or 0, _COMPRESSION))
    except struct.error:
        raise ValueError("a message that does not end") from None


def _root(message: bytes) -> int:
    return int(struct.unpack_from("<I", message, 0)[0])


def _field(message: bytes, table: int, number: int) -> int:
    """Where a field of a table is; 0 if the table leaves it out."""
    fields = table - struct.unpack_from("<i", message, table)[0]
    if fields < 0:
        raise struct.error
    length = struct.unpack_from("<H", message, fields)[0]
    entry = 4 + 2 * number
    offset = struct.unpack_from("<H", message, fields + entry)[0] if entry + 2 <= length else 0
    return table + offset if offset else 0


def _pointed(message: bytes, place: int) -> int | None:
    return place + struct.unpack_from("<I", message, place)[0] if place else None


def _integer(message: bytes, place: int, form: str) -> int:
    return int(struct.unpack_from(form, message, place)[0]) if place else 0
