"""The shards of one split in a folder of parquet files, told by their names, as Hugging Face names them."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rbench.errors import InputError

_SHARD = re.compile(
    r"(?P<split>.*?)[-_.]?(?P<number>[0-9]{4,})(-of-(?P<count>[0-9]{4,}))?([-_.][0-9a-zA-Z]+)?", re.DOTALL
)
"""`test-00000-of-00002`, `test-00000-of-00002-0123456789abcdef`, `0000`."""
_SPLITS = re.compile(r"(train|test|validation|valid|val|dev|extra|eval)(?![a-zA-Z0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class Shards:
    """Files that are read one after the other.

    Attributes:
        files: in the order of their names.
        split: what they are of; None if their names do not say.
        notes: what a user should know.
    """

    files: list[Path]
    split: str | None = None
    notes: tuple[str, ...] = ()


def shards_of(folder: Path, split: str | None) -> Shards:
    """The shards of one split.

    Args:
        folder: of parquet files.
        split: which; None where there is one.

    Raises:
        InputError: there are none, several splits and none is named, none of that name, or a shard is missing.
    """
    found = sorted(folder.glob("*.parquet"))
    if not found:
        inside = sorted({p.parent.relative_to(folder).as_posix() for p in folder.glob("*/*.parquet")})
        remedy = "give the file, or the folder of its shards"
        there = f"some in {', '.join(inside[:4])}" if inside else None
        raise InputError("no .parquet files in this folder", place=folder, found=there, remedy=remedy)
    splits = defaultdict[str, list[Path]](list)
    for path in found:
        splits[_split_of(path.stem)].append(path)
    if split is None:
        if len(splits) > 1:
            names = ", ".join(name or "files without one" for name in splits)
            choice = next((name for name in ("test", "validation") if name in splits), next(filter(None, splits)))
            raise InputError("several splits", place=folder, found=names, remedy=f"name one, e.g. split: {choice}")
        split = next(iter(splits))
    if split not in splits:
        names = ", ".join(filter(None, splits)) or "files without a split in their names"
        raise InputError(f"no split '{split}'", place=f"{folder}: split", found=names, remedy="name one of these")
    _refuse_gaps(folder, splits[split])
    notes = (f"split '{split}' of {folder.name}",) if split else ()
    return Shards(splits[split], split or None, notes)


def _split_of(stem: str) -> str:
    """What a name says of the split: what stands before its number, or a word for a split that it begins with; nothing if neither."""
    shard = _SHARD.fullmatch(stem)
    if shard and (shard["count"] or _SPLITS.match(shard["split"])):
        return shard["split"]
    word = _SPLITS.match(stem)
    return word[1] if word else ""


def _refuse_gaps(folder: Path, paths: Sequence[Path]) -> None:
    """Refuses a split of which a shard is missing: its samples would have other ids."""
    shards = [match for path in paths if (match := _SHARD.fullmatch(path.stem)) and match["count"]]
    if not shards:
        return
    count, there = int(shards[0]["count"]), {int(match["number"]) for match in shards}
    if len(there) != count or len(paths) != count or {int(match["count"]) for match in shards} != {count}:
        found = f"{len(paths)} of {count} shards"
        problem, remedy = "a shard is missing, or one too many", "get all of one data set"
        raise InputError(problem, place=folder, found=f"{found} like {paths[0].name}", remedy=remedy)
