"""Names of classes from a text file, one a line."""

from pathlib import Path

from rbench.datasets.files import reading, require
from rbench.errors import InputError

_MOST = 2**24
"""Bytes of such a file."""


def read_class_names(path: Path | None) -> tuple[str, ...]:
    """The names, in the order of the class numbers; nothing for no file.

    Args:
        path: a text file in UTF-8.

    Raises:
        InputError: it is missing, no text, or too large, or a line in it is empty or there twice.
    """
    if path is None:
        return ()
    size = require(path, "text file of class names, one a line").stat().st_size
    if size > _MOST:
        raise InputError(
            "larger than any list of class names", place=path, found=f"{size:,} bytes", remedy="is it one?"
        )
    with reading(path, "text", "write one class name a line, in UTF-8"):
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    seen: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if not name:
            raise InputError("an empty line", place=f"{path}: line {number}", remedy="write one class name a line")
        if name in seen:
            remedy = "give each class a name of its own"
            problem = f"the name of line {seen[name]} again"
            raise InputError(problem, place=f"{path}: line {number}", found=repr(name[:60]), remedy=remedy)
        seen[name] = number
    return tuple(names)
