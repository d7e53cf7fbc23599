"""The members of a tar file, by where they lie in it: nothing is unpacked or written, and a member is read only when it is asked for."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rbench.datasets.files import reading
from rbench.errors import InputError

_WHAT = "an uncompressed tar file"
_MOST_HEADER = 2**20
"""Bytes of one header. Those of long names and attributes declare their length."""
_BLOCK = 512
_NAME = 60
_PACKED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"))


@dataclass(frozen=True)
class Member:
    """A file in a tar file.

    Attributes:
        path: the tar file.
        name: as its header has it; any text.
        start: first byte of its content.
        size: bytes of its content.
    """

    path: Path
    name: str
    start: int
    size: int

    @property
    def shown(self) -> str:
        """The end of its name for messages, on one line."""
        return repr(self.name[-_NAME:])

    def read(self) -> bytes:
        """Its content."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.size)


def members_of(path: Path) -> Iterator[Member]:
    """The plain files of a tar file, in their order; folders, links and devices are left out.

    Args:
        path: the tar file.

    Raises:
        InputError: it is none, compressed, damaged or cut, or a member is sparse.
    """
    with reading(path, _WHAT), path.open("rb") as file:
        _refuse_packed(path, file)
        length = file.seek(0, 2)
        file.seek(0)
        # The types of tarfile want a whole file; it reads, seeks and tells.
        with tarfile.open(fileobj=_Headers(file), mode="r:") as archive:  # type: ignore[call-overload]
            while (info := archive.next()) is not None:
                archive.members = []  # it would keep all of them
                member = Member(path, info.name, info.offset_data, info.size)
                if info.issparse():
                    remedy = "make the tar without --sparse"
                    raise InputError("a sparse member", place=path, found=member.shown, remedy=remedy)
                if info.size < 0:
                    raise ValueError(f"{info.size} bytes of {member.shown}")
                if info.isreg() and member.start + member.size > length:
                    raise ValueError(f"it ends within {member.shown}")
                if info.isreg():
                    yield member
            _require_end(file, archive.offset, length)


def _require_end(file: IO[bytes], offset: int, length: int) -> None:
    """Refuses a file that goes on where no header could be read: tarfile takes that for its end."""
    file.seek(min(offset, length))
    if any(file.read(_BLOCK)):
        raise ValueError(f"no header at byte {offset:,}")


def _refuse_packed(path: Path, file: IO[bytes]) -> None:
    start = file.read(8)
    for magic, name in _PACKED:
        if start.startswith(magic):
            remedy = "unpack it to a .tar, of which single pictures can be read"
            raise InputError(f"not readable as {_WHAT}", place=path, found=name, remedy=remedy)


class _Headers:
    """A file of which tarfile may read headers, but none that is out of proportion.

    Args:
        file: open for reading bytes.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        """Some bytes.

        Raises:
            ValueError: more than a header has.
        """
        if not 0 <= size <= _MOST_HEADER:
            raise ValueError(f"a header of {size:,} bytes")
        return self._file.read(size)
