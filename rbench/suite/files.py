"""The sha256 of the files that decide an outcome, computed once for each."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from rbench.errors import InputError, WrongHash

_LISTED = 16
_HOLE = 2**28
"""Bytes of a file from which on it must be on the disk, at least a 64th of it: what is not there is no data, and takes minutes to hash."""
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
        _refuse_hole(path, status)
        return _file_digest(path, status.st_size, status.st_mtime_ns)
    except FileNotFoundError:
        remedy = "Write the whole path: ~ and variables stay as they are." if _UNEXPANDED.search(str(path)) else None
        raise InputError(f"no such file: {path}.", remedy=remedy) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None


def _refuse_hole(path: Path, status: os.stat_result) -> None:
    stored = 512 * int(getattr(status, "st_blocks", 0))
    if status.st_size >= _HOLE and 0 < 64 * stored < status.st_size:  # 0 is what file systems say that do not count
        found = f"{status.st_size:,} bytes, {stored:,} of them on the disk"
        raise InputError("almost all of the file is a hole", place=path, found=found, remedy="copy it again")


def sha256_of(hashes: Mapping[str, str]) -> str:
    """One sha256 for all files of a component: that of its only file or folder, else of the lines `sha256  name` of all of them.

    Args:
        hashes: as `digests` gives them.
    """
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    text = "".join(f"{value}  {name}\n" for name, value in sorted(hashes.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def require_sha256(hashes: Mapping[str, str], wanted: str | None, *, place: str, component: str) -> None:
    """Refuses files that are not those whose hash a suite names.

    Args:
        hashes: of the files that are there, as `digests` gives them.
        wanted: what the suite says, 64 hex digits; None if it says nothing.
        place: of the key in the suite.
        component: what reads the files.

    Raises:
        WrongHash: the files have another hash.
        InputError: the component reads no file.
    """
    if wanted is None:
        return
    if not hashes:
        raise InputError("it reads no file.", component=component, place=place, remedy="Leave sha256 out.")
    found = sha256_of(hashes)
    if found != wanted:
        names = ", ".join(hashes)
        raise WrongHash(
            f"{names}: expected sha256 {wanted}.",
            component=component,
            place=place,
            found=found,
            remedy="Get the file again, or write its hash if it is the right one.",
        )


@cache
def _file_digest(path: Path, size: int, changed: int) -> str:  # noqa: ARG001 - part of the key
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
