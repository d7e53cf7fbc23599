"""Folders that users name for results: what is theirs is not in them, so it cannot be overwritten."""

from pathlib import Path

from rbench.errors import InputError
from rbench.results.files import writing

_SIGNS = ("cells.jsonl", "points.jsonl")
"""The first whole file that `rbench run` leaves in its folder, and `rbench theory` in its own."""
_SHOWN = 3


def require_own(root: Path) -> None:
    """Refuses a folder that is neither new nor empty nor one that rbench has made.

    Hidden files (`.gitkeep`, `.DS_Store`) and empty folders count for nothing: no file that rbench writes has such a name, and a start that
    was killed leaves some.

    Args:
        root: the folder that results are to be written to.

    Raises:
        InputError: it holds something else; names it.
        MissingError: it cannot be looked into.
    """
    with writing(root):
        if not root.is_dir() or _is_own(root):
            return
        foreign = sorted(entry.name for entry in root.iterdir() if _counts(entry))
    if foreign:
        names = ", ".join(name if name.isprintable() else repr(name) for name in foreign[:_SHOWN])
        more = f" and {len(foreign) - _SHOWN} more" if len(foreign) > _SHOWN else ""
        raise InputError(
            f"expected a new or empty folder, or one of an earlier run (it has {_SIGNS[0]}).",
            place=root if root.name else root.resolve(),
            found=names + more,
            remedy="Nothing was written. Give another folder: --out DIR.",
        )


def same_file(path: Path, other: Path) -> bool:
    """Whether two names lead to one file, whatever links, `..` or letter case they take; False if one leads nowhere."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def _is_own(folder: Path) -> bool:
    return any((folder / sign).is_file() for sign in _SIGNS)


def _counts(entry: Path) -> bool:
    if entry.is_dir():  # `theory` is where that verb writes when it is told nothing
        return any(entry.iterdir()) and not (entry.name == "theory" and _is_own(entry))
    return not entry.name.startswith(".") and entry.name != "run.lock"
