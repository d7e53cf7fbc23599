"""Arrays of an .npz file, whose shapes are looked at before anything is unpacked. Pickled objects are never loaded."""

import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from rbench.datasets.files import reading
from rbench.datasets.sizes import file_size, refuse_unpacked
from rbench.errors import InputError

_MAGIC = b"\x93NUMPY"
_WHAT = "an .npz file of plain arrays"
_AS_SAVED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How NumPy stores members. LZMA has its memory declared by the file."""
_VERSIONS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_SAVE = "save with np.savez(path, x=..., y=...)"


def read_arrays(path: Path, choose: Callable[[list[str]], Sequence[str]]) -> list[NDArray[np.generic]]:
    """Some arrays of an .npz file.

    Args:
        path: the file.
        choose: the names in the file -> those wanted.

    Raises:
        InputError: it is no archive, is damaged, holds objects, or declares more than a file of its size can hold.
    """
    with reading(path, _WHAT), path.open("rb") as file:
        start = file.read(8)
        if start.startswith(_MAGIC):
            raise InputError("one array, not an archive of named ones", place=path, remedy=_SAVE)
        if not start.startswith(b"PK"):
            found = f"bytes that start with 0x{start.hex()}" if start else "0 bytes"
            raise InputError(f"not readable as {_WHAT}", place=path, found=found, remedy=_SAVE)
        with zipfile.ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            chosen = [members[name] for name in choose(list(members))]
            declared = sum(_declared(archive, member, path) for member in chosen)
            refuse_unpacked(declared, file_size(path), path, "arrays")
            return [_read(archive, member) for member in chosen]


def _declared(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> int:
    """Bytes of an array, as its header and the archive declare them."""
    name = member.filename
    if member.compress_type not in _AS_SAVED:
        problem = f"not readable as {_WHAT} (method {member.compress_type} of compression)"
        raise InputError(problem, place=f"{path}: {name}", remedy="save with np.savez_compressed")
    with archive.open(member) as stream:
        if not _is_array(stream):
            return member.file_size
        version = np.lib.format.read_magic(stream)
        if version not in _VERSIONS:
            problem = f"not readable as {_WHAT} (version {version[0]} of the format)"
            raise InputError(problem, place=f"{path}: {name}", remedy="store numbers alone")
        shape, _, dtype = _VERSIONS[version](stream)
        header = stream.tell()
    if dtype.hasobject:
        problem = f"not readable as {_WHAT} (pickled objects in {name})"
        raise InputError(problem, place=path, remedy="store numbers alone")
    bytes_of_array = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or header + bytes_of_array != member.file_size:
        found = f"{member.file_size - header:,} bytes for the shape {shape} of {bytes_of_array:,}"
        raise InputError(f"not readable as {_WHAT}", place=f"{path}: {name}", found=found, remedy="save it again")
    return bytes_of_array


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.generic]:
    with archive.open(member) as stream:
        if not _is_array(stream):
            return np.asarray(stream.read())
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


def _is_array(stream: IO[bytes]) -> bool:
    start = stream.read(len(_MAGIC))
    stream.seek(0)
    return start == _MAGIC
