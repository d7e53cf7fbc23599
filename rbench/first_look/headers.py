"""The header of a safetensors file against the size of the file, without its library."""

import json
from pathlib import Path

from rbench.errors import InputError

HEADER_CAP = 4 * 2**20
"""Most bytes of a safetensors header; that of a model with a thousand tensors has a fortieth of it."""
_AGAIN = "download it again"


def starts_as_one(start: bytes, size: int) -> bool:
    """Whether a file of any name starts as safetensors do: the length of a header, then its brace."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8


def look(path: Path, start: bytes, size: int) -> None:
    """Refuses a header that does not fit its file.

    Args:
        path: the file.
        start: its first bytes.
        size: its size in bytes.

    Raises:
        InputError: it is cut, too long, no header, or of a file of another size.
    """
    length = int.from_bytes(start[:8], "little")
    if size < 8 or length > size - 8:
        problem = "not a checkpoint: truncated, or not safetensors"
        raise InputError(problem, place=path, found=f"{size} bytes", remedy=_AGAIN)
    if length > HEADER_CAP:
        long = f"a safetensors header of {length} bytes"
        raise InputError(f"{long}; the limit is {HEADER_CAP}", place=path, found=long, remedy=_AGAIN)
    with path.open("rb") as file:
        file.seek(8)
        text = file.read(length)
    end = _end(text)
    if end is None:
        raise InputError("not a checkpoint: no header of safetensors", place=path, remedy=_AGAIN)
    if 8 + length + end != size:
        cut = "truncated" if size < 8 + length + end else "more than its header says"
        problem = f"not a checkpoint: {cut}; its header is of a file of {8 + length + end} bytes"
        raise InputError(problem, place=path, found=f"{size} bytes", remedy=_AGAIN)


def _end(text: bytes) -> int | None:
    """Where the last tensor ends behind the header; None if it is no header."""
    try:
        content = json.loads(text.decode("utf-8"))
        ends = [entry["data_offsets"][1] for name, entry in content.items() if name != "__metadata__"]
        end = max(ends, default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None
    return end if type(end) is int and end >= 0 else None
