"""One array of an .npy file, mapped into memory: what its header says is looked at first. Pickled objects are never loaded."""

import math
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rbench.datasets.files import reading, require
from rbench.datasets.sizes import file_size, refuse_unpacked
from rbench.errors import InputError

_MAGIC = b"\x93NUMPY"
_WHAT = "an .npy file of one plain array"
_VERSIONS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def mapped_array(path: Path, what: str) -> NDArray[np.generic]:
    """The array of a file; its values are read from the disk when they are asked for.

    Args:
        path: the .npy file.
        what: what it holds, for messages.

    Raises:
        InputError: it is no such file, holds objects, has another number of bytes than its shape, or is mostly a hole.
    """
    with reading(require(path, f".npy file of {what}"), _WHAT), path.open("rb") as file:
        start = file.read(len(_MAGIC))
        if start != _MAGIC:
            found = f"bytes that start with 0x{start[:4].hex()}" if start else "0 bytes"
            remedy = "save one array with np.save(path, array)"
            raise InputError(f"not readable as {_WHAT}", place=path, found=found, remedy=remedy)
        file.seek(0)
        version = np.lib.format.read_magic(file)
        if version not in _VERSIONS:
            problem = f"not readable as {_WHAT} (version {version[0]} of the format)"
            raise InputError(problem, place=path, remedy="store numbers alone")
        shape, fortran_order, dtype = _VERSIONS[version](file)
        begins, length = file.tell(), path.stat().st_size
    if dtype.hasobject:
        problem = f"not readable as {_WHAT} (pickled objects)"
        raise InputError(problem, place=path, remedy="store numbers alone")
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or begins + size != length:
        found = f"{length - begins:,} bytes for the shape {shape} of {size:,}"
        raise InputError(f"not readable as {_WHAT}", place=path, found=found, remedy="save it again")
    refuse_unpacked(size, file_size(path), path, what)
    if not size:
        return np.empty(shape, dtype)
    with reading(path, _WHAT):
        order: Literal["F", "C"] = "F" if fortran_order else "C"
        return np.asarray(np.memmap(path, dtype, mode="r", offset=begins, shape=shape, order=order))
