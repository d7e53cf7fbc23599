"""The sha256 of the files that decide an outcome, computed once for each."""

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from rbench.errors import InputError

_LISTED = 16
_UNEXPANDED = re.compile(r"^~|(^|[\\/])\$\w|%\w+%")
"""What a shell would have put something in the place of."""


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """The sha256 of each file by its name; a folder is one entry, and so are all together if they are more than 16.

    Raises:
        InputError: a file is missing or cannot be read.
    """
    unique = sorted({path.resolve(): path for path in paths}.values(), key=lambda path: (path.name, str(path)))
    if len(unique) > _LISTED:
        text = "".join(f"{digest(path)}  {path.name}\n" for path in unique)
        return {f"{len(unique)} files": hashlib.sha256(text.encode()).hexdigest()}
    hashes: dict[str, str] = {}
    for path in unique:
        name = path.name
        while name in hashes:
            name += "'"
        hashes[name] = digest(path)
    return hashes


def digest(path: Path) -> str:
    """The sha256 of a file's bytes; of a folder, of its files' names and digests.

    Raises:
        InputError: it is missing or cannot be read.
    """
    try:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file())
            text = "".join(f"{digest(p)}  {p.relative_to(path).as_posix()}\n" for p in inside)
            return hashlib.sha256(text.encode()).hexdigest()
        status = path.stat()
        return _file_digest(path, status.st_size, status.st_mtime_ns)
    except FileNotFoundError:
        remedy = "Write the whole path: ~ and variables stay as they are." if _UNEXPANDED.search(str(path)) else None
        raise InputError(f"no such file: {path}.", remedy=remedy) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None


@cache
def _file_digest(path: Path, size: int, changed: int) -> str:  # noqa: ARG001 - part of the key
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
