"""What a weights file is by its size and first bytes: asked before it is hashed or read, so that what is none costs nothing."""

import errno
import os
import stat
from pathlib import Path
from typing import Literal

from rbench.errors import InputError
from rbench.first_look import headers, zips
from rbench.first_look.kinds import kind_of_file
from rbench.first_look.pickles import LEGACY_PICKLES, require_tensors

Form = Literal["safetensors", "zip", "legacy"]
"""safetensors; what `torch.save` writes; what it wrote before torch 1.6, or does when told to."""

SUFFIXES = (".safetensors", ".pt", ".pth", ".tar", ".ckpt", ".bin")
"""By which a file of weights is told from a name of weights; what it holds is told by its bytes."""
BYTES_CAP = 16 * 2**30
"""Most bytes of a weights file; the largest classifiers of torchvision have a seventh of it."""
_LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
"""What a file of `torch.save` of that time has behind the two bytes of the pickle's protocol."""
_HOLES_FROM = 2**20
"""Bytes from which on a file is asked for holes."""
_STRETCHES = 4096
"""Of data between holes, after which the rest counts as data."""
_AGAIN = "download it again"


def look(path: Path) -> Form:
    """The form of a weights file; reads its first bytes, and its table of contents.

    Raises:
        InputError: it is not there, cannot be read, or is no weights file; says what it is.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            problem = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise InputError(problem, place=path, remedy="give a .safetensors or .pt file")
        return _form(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the name
        raise InputError("no such file", place=path, remedy="give a .safetensors or .pt file") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", place=path) from None


def looked_at(path: Path) -> Path:
    """The path of a file that `look` accepts and that asks for tensors alone, for `files` hooks: no other is hashed."""
    require_plain(path, look(path))
    return path


def require_plain(path: Path, form: Form) -> None:
    """Refuses a file of `torch.save` that asks for more than tensors; executes nothing.

    Args:
        path: the file.
        form: what `look` says of it.

    Raises:
        InputError: says what it asks for, or that its pickle is damaged.
    """
    if form == "zip":
        require_tensors(path, zips.pickle_of(path), 1)
    elif form == "legacy":
        with path.open("rb") as file:
            require_tensors(path, file.read(zips.PICKLE_CAP), LEGACY_PICKLES)


def _form(path: Path) -> Form:
    with path.open("rb") as file:
        start, size = file.read(512), os.fstat(file.fileno()).st_size
        missing = _in_holes(file.fileno(), size)
    if not start:
        raise InputError("not a checkpoint", place=path, found="0 bytes", remedy=_AGAIN)
    if kind := kind_of_file(start):
        raise InputError("not a checkpoint", place=path, found=kind.name, remedy=kind.remedy)
    if size > BYTES_CAP:
        long = f"{size} bytes"
        raise InputError(f"{long}; the limit of a weights file is {BYTES_CAP}", place=path, found=long)
    if missing > size / 2:
        problem = f"not a checkpoint: {missing} of its {size} bytes were never written"
        raise InputError(problem, place=path, remedy=_AGAIN)
    return _by_bytes(path, start, size)


def _by_bytes(path: Path, start: bytes, size: int) -> Form:
    named = path.suffix == ".safetensors"
    pickled: Form | None = "legacy" if start[2:].startswith(_LEGACY) else None
    if start.startswith(b"PK\x03\x04") and not (named and zips.is_cut(path)):
        zips.look(path, size)
        pickled = "zip"
    if pickled is not None and not named:
        return pickled
    if pickled is not None:
        raise InputError("not safetensors", place=path, found="a file of torch.save", remedy="give it the suffix .pt")
    if named or headers.starts_as_one(start, size):
        headers.look(path, start, size)
        return "safetensors"
    if len(start) > 1 and start[0] == 0x80 and 2 <= start[1] <= 5:
        problem = "refused, a pickle that torch.save did not write; nothing was executed."
        raise InputError(problem, place=path, remedy="Save the model's state_dict() as safetensors")
    raise InputError(f"not a checkpoint: {_described(start)}", place=path, remedy=_AGAIN)


def _described(start: bytes) -> str:
    try:
        text = start.decode("ascii")
    except UnicodeDecodeError:
        text = "\0"
    line = text.strip().partition("\n")[0]
    if not line.isprintable() or not line:
        return f"its first bytes are {start[:8].hex(' ')}"
    return f"text that begins {line[:40]!r}"


def _in_holes(descriptor: int, size: int) -> int:
    """How many bytes of a file lie in holes: a download that reserved its place and was never finished."""
    if size < _HOLES_FROM or not hasattr(os, "SEEK_HOLE"):
        return 0
    written = at = 0
    for _ in range(_STRETCHES):
        if at >= size:
            break
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:  # no data behind this place; else a file system that does not tell
            return size - written if error.errno == errno.ENXIO else 0
        at = os.lseek(descriptor, start, os.SEEK_HOLE)
        written += at - start
    return at - written
