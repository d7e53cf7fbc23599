"""Files of a suite that was stored without absolute paths: where this machine has them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from rbench import elsewhere
from rbench.elsewhere import is_absolute, parted, portable
from rbench.own_code import PREFIX
from rbench.suite.cell import Cell, Part
from rbench.suite.files import sha256_of

LISTS = ("dataset", "backbones", "purifiers", "attacks")
"""The fields of a suite that name components."""
_CORRUPTIONS = sha256_of({})
"""What stands for the hash of a folder of corrupted images where its place is kept: each of its files has one in its cell."""
_LABELS = ("as", "gradient", "sha256")
"""Keys of a component whose texts name no file."""


def remember_places(cells: Iterable[Cell]) -> None:
    """Keeps on this machine where those files are of which the suite beside the results has the name alone.

    Args:
        cells: planned, with the paths as given.
    """
    for part in {id(part): part for cell in cells for part in _parts(cell)}.values():
        for text in texts([part.given_name, part.given_params]):
            prefix, path = parted(text)
            if is_absolute(path) and prefix != f"{PREFIX}:" and _exists(path):
                stored = portable(path)
                if not _exists(stored):
                    elsewhere.remember(stored, sha256_of(part.files), Path(path))


def remember_corruptions(path: str | None) -> None:
    """The same for the folder of corrupted images of a threat; which images these are, hashes say."""
    if path is not None and is_absolute(path) and not _exists(portable(path)):
        elsewhere.remember(portable(path), _CORRUPTIONS, Path(path))


def _parts(cell: Cell) -> Iterator[Part]:
    yield from (cell.dataset, cell.backbone, cell.purifier, cell.attack)
    if cell.stand_in is not None:
        yield cell.stand_in


def texts(document: Any) -> Iterator[str]:
    """The texts of a document of maps, lists and scalars."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, Mapping):
        for key, value in document.items():
            # A backbone or an attack names its purifiers by their labels; those of the suite itself are parts with names.
            if key not in _LABELS and not (key == "purifiers" and "name" in document):
                yield from texts(value)
    elif isinstance(document, list | tuple):
        for value in document:
            yield from texts(value)


def find_places(document: Any, cells: Sequence[Mapping[str, Any]], folders: Sequence[Path] = ()) -> dict[str, str]:
    """Looks for files that a stored suite names and that are not where it says, and says to this process where they are.

    Args:
        document: the suite.
        cells: the planned cells beside it, as `cells.jsonl` has them.
        folders: where the user says that files are, by their names; these come first.

    Returns:
        Of each file that was found nowhere, and whose hash the cells know, its name and its sha256.
    """
    missing = dict[str, str]()
    hashes, of_data = _hashes(cells), set(_paths({"dataset": _map(document).get("dataset")}))
    for text in dict.fromkeys(_paths(document)):
        name = PurePath(text).name
        if not name or name not in hashes:
            continue
        there = [place for place in (folder / name for folder in folders) if _exists(str(place))]
        if there:
            elsewhere.is_at(text, there[0].absolute())
            if text in of_data:
                elsewhere.told().data = None
        elif text in of_data and elsewhere.told().data is not None:
            continue
        elif not _exists(text) and elsewhere.located(text) == text:
            known = [place for one in hashes[name].values() if (place := elsewhere.recalled(text, one)) is not None]
            if known:
                elsewhere.is_at(text, known[0])
            elif own := [sha256 for sha256 in hashes[name] if sha256]:
                missing[name] = own[0]
    _find_corruptions(_map(_map(document).get("threat")).get("path"), folders)
    return missing


def _find_corruptions(path: Any, folders: Sequence[Path]) -> None:
    if not isinstance(path, str) or not PurePath(path).name:
        return
    there = [place for place in (folder / PurePath(path).name for folder in folders) if _exists(str(place))]
    place = there[0] if there else None if _exists(path) else elsewhere.recalled(path, _CORRUPTIONS)
    if place is not None:
        elsewhere.is_at(path, place.absolute())


def _paths(document: Any) -> Iterator[str]:
    """What may be paths among the texts of a suite: items of names as well."""
    for text in texts([document.get(key) for key in LISTS] if isinstance(document, Mapping) else []):
        prefix, path = parted(text)
        if prefix != f"{PREFIX}:":
            yield path


def _hashes(cells: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """By the name of what may be a file: its sha256, empty where it is not known, and that of all files of its component."""
    found: dict[str, dict[str, str]] = {}
    for part in parts_of(cells):
        files = {str(name): str(sha256) for name, sha256 in _map(part.get("files")).items()}
        whole = sha256_of(files)
        named = [parted(str(part.get("name")))[1], *texts(part.get("params"))]
        for name in [*files, *(PurePath(parted(text)[1]).name for text in named)]:
            found.setdefault(name, {})[files.get(name, "")] = whole
    return found


def parts_of(cells: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The components of planned cells, as documents."""
    for cell in cells:
        for kind in ("dataset", "backbone", "purifier", "attack"):
            part = _map(cell.get(kind))
            yield part
            if "stand_in" in part:
                yield _map(part["stand_in"])


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False
