"""Whole files or none: written under a temporary name, synced, renamed."""

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rbench.errors import MissingError
from rbench.results import disk
from rbench.results.process import alive

_TEMPORARY = re.compile(r"\..+\.(\d+)-[0-9a-f]{8}\.tmp")


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by a file of `data`: after a crash at any point there is the old file or the new one.

    Raises:
        MissingError: the disk is full, read-only or gone; the old file is intact.
    """
    write_parts(path, [data], len(data))


def write_parts(path: Path, parts: Iterable[bytes], size: int) -> None:
    """As `write_bytes`, with data that come in parts of `size` bytes together."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    with writing(path, size):
        try:
            handle = disk.create(temporary)
            try:
                for data in parts:
                    disk.write(handle, data)
                disk.sync(handle)
            finally:
                os.close(handle)
            disk.rename(temporary, path)
        except OSError:
            with suppress(OSError):  # it holds the space that is missing
                disk.remove(temporary)
            raise
        disk.sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """As `write_bytes`, in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def tidy(folder: Path) -> None:
    """Remove what dead writers (or an earlier part of this one) left under temporary names in a folder."""
    with writing(folder):
        for path in sorted(folder.glob(".*.tmp")):
            match = _TEMPORARY.fullmatch(path.name)
            if match and (int(match[1]) == os.getpid() or not alive(int(match[1]))):
                disk.remove(path)


@contextmanager
def writing(path: Path, size: int | None = None) -> Iterator[None]:
    """Turn an error of the disk into a MissingError that names the path and, if known, the bytes needed."""
    try:
        yield
    except OSError as error:
        needed = "" if size is None else f" ({size:,} bytes needed)"
        problem = f"cannot be written: {error.strerror or error}{needed}."
        raise MissingError(problem, place=path, remedy="Finished work is kept; run again.") from error
