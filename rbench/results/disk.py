"""Every operation that changes the disk, one function each; tests make each of them fail in turn."""

import os
import sys
from pathlib import Path


def create(path: Path) -> int:
    """Create a file that must not exist yet and open it for writing."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o666)


def write(handle: int, data: bytes) -> None:
    """Write all of `data`."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def truncate(handle: int) -> None:
    """Empty an open file."""
    os.lseek(handle, 0, os.SEEK_SET)
    os.ftruncate(handle, 0)


def sync(handle: int) -> None:
    """Wait until the content of an open file is on the disk."""
    os.fsync(handle)


def rename(source: Path, target: Path) -> None:
    """Put `source` in the place of `target`, at once."""
    source.replace(target)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    if sys.platform == "win32":  # folders cannot be opened there; the rename is journalled
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file; none there is fine."""
    path.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it."""
    path.mkdir(parents=True, exist_ok=True)


def make_subfolder(path: Path) -> None:
    """Make a folder in one that exists: a run folder deleted midway must not come back half empty."""
    path.mkdir(exist_ok=True)


def remove_folder(path: Path) -> None:
    """Remove an empty folder."""
    path.rmdir()
