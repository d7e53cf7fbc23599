"""The size that a WEBP declares: Pillow makes room for all of its pixels when it opens one, before it can be asked for the size."""

_HEADER = 30
"""Bytes up to the end of the size."""


def declared_size(content: bytes) -> tuple[int, int] | None:
    """Width and height that the header of a WEBP declares (RFC 9649, sections 2.5 to 2.7); None where it is none or too short.

    Args:
        content: the file, or its first 30 bytes.
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or len(content) < _HEADER:
        return None
    kind, data = content[12:16], content[20:_HEADER]
    if kind == b"VP8X":  # the canvas: 24 bits each, one less
        return _number(data[4:7]) + 1, _number(data[7:10]) + 1
    if kind == b"VP8L":  # lossless: 14 bits each, one less, behind a signature of a byte
        bits = _number(data[1:5])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":  # lossy: 14 bits each, behind a tag and a start code of three bytes
        return _number(data[6:8]) & 0x3FFF, _number(data[8:10]) & 0x3FFF
    return None


def _number(part: bytes) -> int:
    return int.from_bytes(part, "little")
