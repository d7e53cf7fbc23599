"""The table of contents of a zip that is to be one of `torch.save`."""

import zipfile
from collections import Counter
from pathlib import Path

from rbench.errors import InputError

PICKLE_CAP = 4 * 2**20
"""Most bytes of the pickle in a checkpoint, which names the tensors; that of a thousand of them has a fortieth of it."""
_CONTENTS_CAP = 8 * 2**20
_TAIL = 22 + 65_535
"""Where the record at the end of a zip starts at the earliest, counted from the end."""
_AGAIN, _STATE = "download it again", "save the state_dict() of the model as safetensors"
_BROKEN = (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, KeyError, UnicodeDecodeError)


def is_cut(path: Path) -> bool:
    """Whether a file that starts as a zip has not the end of one."""
    return not zipfile.is_zipfile(path)


def look(path: Path, size: int) -> None:
    """Refuses a zip that `torch.save` did not write, or that grows when it is read.

    Args:
        path: the file.
        size: its size in bytes.

    Raises:
        InputError: it is cut, compressed, of another kind, or two of its entries have one name.
    """
    try:
        contents = contents_size(path, size)
        if contents > size:
            raise zipfile.BadZipFile
        if contents > _CONTENTS_CAP:
            long = f"a zip with {contents} bytes of names"
            raise InputError(f"{long}; the limit is {_CONTENTS_CAP}", place=path, found=long)
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except _BROKEN as error:
        raise InputError("not a checkpoint", place=path, found="truncated zip", remedy=_AGAIN) from error
    total = sum(entry.file_size for entry in entries)
    if total > size:
        bomb = f"a compressed zip that grows to {total} bytes"
        raise InputError(f"{bomb}; no checkpoint of torch is one", place=path, found=bomb)
    names = [entry.filename for entry in entries]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"refused, two entries of the zip are called {twice[0][:80]!r}", place=path, remedy=_AGAIN)
    if kind := _other_kind(names):
        raise InputError("not a checkpoint", place=path, found=kind, remedy=_STATE)
    (pickle,) = (entry for entry in entries if _is_pickle(entry.filename))
    if pickle.file_size > PICKLE_CAP:
        long = f"a pickle of {pickle.file_size} bytes"
        raise InputError(f"{long}; the limit is {PICKLE_CAP}", place=path, found=long, remedy=_STATE)


def pickle_of(path: Path) -> bytes:
    """The pickle in a zip that `look` has accepted; its checksum is that of the zip.

    Raises:
        InputError: an entry, this one or another, is not what the zip says of it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (wrong := archive.testzip()) is not None:
                problem = f"entry {wrong[:80]!r} of the zip is damaged: its checksum (CRC) is wrong"
                raise InputError(problem, place=path, remedy=_AGAIN)
            return archive.read(next(filter(_is_pickle, archive.namelist())))
    except InputError:
        raise
    except Exception as error:  # an encrypted, overlapping or cut entry: each has an error of its own
        raise InputError("not a checkpoint", place=path, found="a damaged zip", remedy=_AGAIN) from error


def _is_pickle(name: str) -> bool:
    return name == "data.pkl" or (name.endswith("/data.pkl") and name.count("/") == 1)


def _other_kind(names: list[str]) -> str | None:
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        return "TorchScript"
    if names and all(name.endswith(".npy") for name in names):
        return "NumPy's .npz"
    return None if sum(map(_is_pickle, names)) == 1 else "a zip that torch.save did not write"


def contents_size(path: Path, size: int) -> int:
    """Bytes of the list of entries, by the record at the end.

    Raises:
        ValueError: there is no such record.
    """
    with path.open("rb") as file:
        file.seek(max(0, size - _TAIL - 20))
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) < at + 22:
            raise ValueError("no end of a zip")
        if tail[max(0, at - 20) : at].startswith(b"PK\x06\x07"):
            file.seek(int.from_bytes(tail[at - 12 : at - 4], "little"))
            return int.from_bytes(file.read(56)[40:48], "little")
        return int.from_bytes(tail[at + 12 : at + 16], "little")
