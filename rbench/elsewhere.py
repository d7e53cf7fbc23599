"""Where the files lie that a suite names, where that is not the place it names: what is stored has no absolute path.

A suite beside results has only the name of a file that lay outside of the current folder, and one in a bundle has files of another
machine. Whoever reads such a suite says here where they are; components get those places, and names, parameters and ids stay as they are
written. Whoever begins a process hands `told()` to it, and that process takes it.
"""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

VARIABLE = "RBENCH_CACHE"
"""Of the environment: the folder in which rbench remembers where files of this machine are."""


@dataclass(frozen=True)
class KeptData:
    """The judged samples of a data set, which stand in for it.

    Attributes:
        name: of the data set, as the suite has it.
        folder: in which they lie.
        files: sha256 of the files of the whole data set by name, as whoever kept the samples says.
    """

    name: str
    folder: str
    files: Mapping[str, str]


@dataclass
class Elsewhere:
    """What one process hands to another.

    Attributes:
        files: by the text of a path, where that file or folder is.
        code: the same for files of code of the user's own; never of a place that somebody else has filled.
        data: the samples that stand in for a data set.
    """

    files: dict[str, str] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    data: KeptData | None = None


_TOLD = Elsewhere()


def told() -> Elsewhere:
    """All that this process was told."""
    return _TOLD


def take(other: Elsewhere) -> None:
    """Makes it what this process was told, and nothing else."""
    _TOLD.files, _TOLD.code, _TOLD.data = dict(other.files), dict(other.code), other.data


def forget() -> None:
    """Makes every path what it says."""
    take(Elsewhere())


def is_at(text: str, place: Path) -> None:
    """Says where the file or folder is that a suite calls by a text."""
    _TOLD.files[_key(text)] = str(place)


def code_is_at(text: str, place: Path) -> None:
    """The same for a file of the user's own code, in a folder of the user."""
    _TOLD.code[_key(text)] = str(place)


def located(value: Any) -> Any:
    """A text, path or list of them with the place of each in its stead; whatever else it is stays as it is."""
    if not _TOLD.files:
        return value
    if isinstance(value, Path):
        found = _TOLD.files.get(str(value))
        return value if found is None else Path(found)
    if isinstance(value, str):
        return _TOLD.files.get(_key(value), value) if value else value
    if isinstance(value, list | tuple):
        return type(value)(map(located, value))
    return value


def located_code(text: str) -> str:
    """The place of a file of the user's own code."""
    return _TOLD.code.get(_key(text), text)


def data_of(name: str) -> KeptData | None:
    """The samples that stand in for a data set; None where it is read itself."""
    return _TOLD.data if _TOLD.data is not None and _TOLD.data.name == name else None


def _key(text: str) -> str:
    return str(PurePath(text))


def parted(text: str) -> tuple[str, str]:
    """A name with an item, `file:w.pt`, as `file:` and the item; any other text as nothing and itself."""
    if is_absolute(text):
        return "", text
    prefix, colon, rest = text.partition(":")
    return (f"{prefix}:", rest) if colon and rest and not set(prefix) & set("/\\") else ("", text)


def is_absolute(text: str) -> bool:
    """Whether a text is an absolute path, of this system or of another."""
    return PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()


def portable(text: str) -> str:
    """A path, or a name with one, as it is stored: relative if it lies in the current folder, else its last part alone.

    Args:
        text: as a user has written it; one that is relative stays as it is.
    """
    prefix, path = parted(text)
    return prefix + _portable(path) if is_absolute(path) else text


def _portable(path: str) -> str:
    pure = PurePath(path)
    if PurePosixPath(path).is_absolute() and ".." not in pure.parts:
        for here in _here():
            if here != pure and here != Path(here.anchor) and pure.is_relative_to(here):
                return pure.relative_to(here).as_posix()
    return PureWindowsPath(path).name  # it takes both separators


def _here() -> list[Path]:
    """The current folder, and what a shell calls it that came there by a link."""
    here, named = Path.cwd(), Path(os.environ.get("PWD", "."))
    with suppress(OSError):
        if named.is_absolute() and named.samefile(here):
            return [here, named]
    return [here]


def remember(text: str, files_sha256: str, place: Path) -> None:
    """Keeps on this machine, and in no result, where a file is of which only the name is stored; where nothing can be kept, nothing is.

    Args:
        text: as it is stored.
        files_sha256: of all files of the component that reads it.
        place: absolute.
    """
    with suppress(OSError, RuntimeError):
        path = _remembered(text, files_sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(str(place), encoding="utf-8")
        temporary.replace(path)


def recalled(text: str, files_sha256: str) -> Path | None:
    """What `remember` has kept; None where there is nothing, or nothing is there any more."""
    with suppress(OSError, RuntimeError, ValueError):
        place = Path(_remembered(text, files_sha256).read_text(encoding="utf-8"))
        return place if place.is_absolute() and place.exists() else None
    return None


def _remembered(text: str, files_sha256: str) -> Path:
    given = os.environ.get(VARIABLE)
    cache = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rbench"
    name = hashlib.sha256(f"{text}\0{files_sha256}".encode(errors="surrogateescape")).hexdigest()[:32]
    return cache / "places" / name
