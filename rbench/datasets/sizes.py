"""How large data may be, told from what files declare before anything is unpacked: a small file can hold gigabytes."""

import os
from pathlib import Path

from rbench.errors import InputError

ALWAYS = 2**26
"""Bytes that may be unpacked whatever a file is like."""
RATIO = 64
"""Beyond that, bytes that may be unpacked for each byte of the file. Arrays and columns of real images stay far below it."""
MOST_PICTURE = 2**28
"""Bytes of one encoded picture."""
PICTURE_ALWAYS = 2**25
"""Bytes that one picture may be decoded to, four a pixel, however small its file is: 2,900 x 2,900 pixels."""
PICTURE_RATIO = 200
"""Beyond that, bytes for each byte of its file."""
MOST_PIXELS = 2**26
"""Pixels of one picture, 8,192 x 8,192."""


def refuse_unpacked(declared: int, stored: int, place: object, what: str) -> None:
    """Refuses data that are out of proportion to their file, or too large for this machine.

    Args:
        declared: bytes when unpacked, as the file says.
        stored: bytes of the file, or of the part of it that holds them.
        place: the file.
        what: what would be unpacked, for the message.

    Raises:
        InputError: it is too much.
    """
    most = max(ALWAYS, RATIO * stored)
    if declared > most:
        found = f"{declared:,} bytes of {what} in {stored:,} bytes"
        raise InputError(
            "unpacks to more than data of its size can hold",
            place=place,
            found=found,
            remedy=f"at most {most:,} are read; store less in one file, or without compression",
        )
    memory = _memory()
    if memory is not None and declared > memory:
        found = f"{declared:,} bytes of {what}, {memory:,} bytes of memory"
        raise InputError("larger than this machine's memory", place=place, found=found, remedy="store fewer images")


def refuse_picture(width: int, height: int, stored: int, place: object) -> None:
    """Refuses a picture that its header declares to be out of proportion to its bytes.

    Args:
        width: in pixels.
        height: in pixels.
        stored: bytes of the encoded picture.
        place: the file, or the file and the sample in it.

    Raises:
        InputError: it is too large.
    """
    pixels = width * height
    if pixels > MOST_PIXELS or 4 * pixels > max(PICTURE_ALWAYS, PICTURE_RATIO * stored):
        raise too_large(f"{width}x{height} pixels in {stored:,} bytes", place)


def too_large(found: str, place: object) -> InputError:
    """The error for a picture that is out of proportion."""
    problem = "unpacks to more than a picture of its size can hold"
    return InputError(problem, place=place, found=found, remedy="store a smaller one")


def file_size(path: Path) -> int:
    """Bytes that a file really has on the disk, or its length where that cannot be told."""
    status = path.stat()
    blocks = 512 * int(getattr(status, "st_blocks", 0))
    return min(status.st_size, blocks) if blocks else status.st_size


def _memory() -> int | None:
    """Bytes of memory of this machine; None where nobody tells."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
