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


def refuse_links(root: Path) -> None:
    """Refuses a run folder with a link that leads out of it: what is written or removed through that would be somebody else's.

    A link in the place of a file is no such thing, since whole files take its place; but the lock is opened where it lies.

    Args:
        root: the folder, which may be a link itself.

    Raises:
        InputError: names the link and where it leads.
        MissingError: it cannot be looked into.
    """
    with writing(root):
        for link in (entry for folder in (root, root / "chunks", root / "audits") for entry in _links(folder)):
            where = link.resolve()
            if (where.is_dir() or link.name == "run.lock") and not where.is_relative_to(root.resolve()):
                raise InputError(
                    "a link that leads out of the run folder.",
                    place=link,
                    found=str(where) if str(where).isprintable() else repr(str(where)),
                    remedy="Nothing was written. Put a folder in its place, or give another --out.",
                )


def _links(folder: Path) -> list[Path]:
    return [entry for entry in sorted(folder.iterdir()) if entry.is_symlink()] if folder.is_dir() else []


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
