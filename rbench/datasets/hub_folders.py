"""Where data sets of the Hugging Face hub lie on this machine: folders that were saved, and the two caches of its libraries."""

import json
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rbench.datasets.files import reading
from rbench.errors import InputError

REPOSITORY = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?")
COMMIT = re.compile(r"[0-9a-f]{40}")
_SHARD = re.compile(r"(?P<name>.*?)(-(?P<number>[0-9]{5,})-of-(?P<count>[0-9]{5,}))?", re.DOTALL)
_TEMPORARY = re.compile(r"(cache|tmp)[-_0-9a-z]*")
"""Names of files in which the library keeps what it has computed of a data set."""
_MOST = 2**26
"""Bytes of a document that describes a data set."""
_SHOWN = 8


@dataclass(frozen=True)
class Saved:
    """Arrow files of one split.

    Attributes:
        files: in order.
        split: what they are of; None where nothing says.
    """

    files: tuple[Path, ...]
    split: str | None


def hub_cache() -> Path:
    """The folder in which the hub's client keeps repositories, as its variables say."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.environ[name])
    return _home() / "hub"


def datasets_cache() -> Path:
    """The folder in which the datasets library keeps what it has prepared."""
    given = os.environ.get("HF_DATASETS_CACHE")
    return Path(given) if given else _home() / "datasets"


def _home() -> Path:
    given = os.environ.get("HF_HOME")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"


def cached_repository(name: str) -> Path:
    """The folder of a data set in the cache of the hub's client, which need not exist.

    Args:
        name: `owner/name`.
    """
    return hub_cache() / f"datasets--{name.replace('/', '--')}"


def snapshot_of(cached: Path, revision: str | None) -> Path | None:
    """The files of one commit in the cache of a repository; None if they are not there.

    Args:
        cached: the folder of the repository, with `snapshots` in it.
        revision: the commit; None where only one is there.

    Raises:
        InputError: several commits are there and none is named.
    """
    there = commits_in(cached)
    if revision is None and len(there) > 1:
        found = ", ".join(there[:_SHOWN])
        raise InputError("several commits", place=cached, found=found, remedy="name one: revision: COMMIT")
    chosen = revision or next(iter(there), None)
    return cached / "snapshots" / chosen if chosen in there else None


def commits_in(cached: Path) -> list[str]:
    """The commits of which the cache of a repository has files, sorted."""
    found = (cached / "snapshots").glob("*") if (cached / "snapshots").is_dir() else ()
    return sorted(path.name for path in found if path.is_dir())


def prepared_of(name: str, config: str | None, revision: str) -> Path | None:
    """The folder of Arrow files that the datasets library has prepared of one commit; None if there is none.

    Args:
        name: `owner/name`.
        config: which configuration; the only one if None.
        revision: the commit.

    Raises:
        InputError: several are there, and none or no single one is named.
    """
    root = datasets_cache() / name.replace("/", "___")
    found = [path for path in sorted(root.glob(f"*/*/{revision}")) if path.is_dir()]
    fitting = [path for path in found if config is None or path.parents[1].name == config]
    if len(fitting) > 1:
        configs = ", ".join(path.parents[1].name for path in fitting[:_SHOWN])
        raise InputError("several configurations", place=root, found=configs, remedy="name one: config: NAME")
    return fitting[0] if fitting else None


def prepared_below(folder: Path) -> Path | None:
    """The folder of Arrow files below that of a data set in the library's cache, CONFIG/VERSION/HASH; None if there is none.

    Raises:
        InputError: there are several.
    """
    found = sorted({path.parent.relative_to(folder) for path in folder.glob("*/*/*/*.arrow")})
    if len(found) > 1:
        shown = ", ".join(path.as_posix() for path in found[:_SHOWN])
        raise InputError("several data sets", place=folder, found=shown, remedy="give the folder of one")
    return folder / found[0] if found else None


def saved_in(folder: Path, split: str | None) -> Saved | None:
    """The Arrow files of a split in a folder of `save_to_disk` or of the library's cache; None if it is no such folder.

    Args:
        folder: the folder.
        split: which part; None where there is one.

    Raises:
        InputError: several splits are there and none is named, none of that name, or a file is missing.
    """
    if (folder / "dataset_dict.json").is_file():
        splits = _document(folder / "dataset_dict.json").get("splits")
        names = [name for name in splits if isinstance(name, str)] if isinstance(splits, list) else []
        chosen = _chosen(folder, names, split)
        inside = saved_in(folder / chosen, None) if (folder / chosen).parent == folder else None
        if inside is None:
            remedy = "save it again with save_to_disk"
            raise InputError("the split is not there", place=folder / chosen, remedy=remedy)
        return Saved(inside.files, chosen)
    if (folder / "state.json").is_file():
        return _by_state(folder, split)
    groups = _by_name(folder)
    if not groups:
        return None
    chosen = _chosen(folder, list(groups), split)
    return Saved(_complete(folder, groups[chosen]), chosen or None)


def _by_state(folder: Path, split: str | None) -> Saved:
    """The files that `state.json` of `save_to_disk` lists, which lie beside it."""
    state = _document(folder / "state.json")
    listed, own = state.get("_data_files"), state.get("_split")
    entries = listed if isinstance(listed, list) else []
    names = [str(entry.get("filename")) for entry in entries if isinstance(entry, dict)]
    files = tuple(folder / name for name in names)
    missing = next((path for path in files if path.parent != folder or not path.is_file()), None)
    if not files or missing is not None:
        place = folder / "state.json" if missing is None else missing
        raise InputError("a file of the data set is not there", place=place, remedy="save it again with save_to_disk")
    if split is not None and own not in (split, None):
        raise InputError(f"no split '{split}'", place=f"{folder}: split", found=repr(own), remedy="leave split out")
    return Saved(files, own if isinstance(own, str) else split)


def _by_name(folder: Path) -> dict[str, list[Path]]:
    """Arrow files by split, whose names end as those of the library's cache do: `NAME-SPLIT.arrow`, `NAME-SPLIT-00000-of-00002.arrow`."""
    groups = defaultdict[str, list[Path]](list)
    for path in sorted(folder.glob("*.arrow")):
        if _TEMPORARY.fullmatch(path.stem):
            continue
        match = _SHARD.fullmatch(path.stem)
        groups[match["name"].rpartition("-")[2] if match else ""].append(path)
    return dict(groups)


def _complete(folder: Path, files: list[Path]) -> tuple[Path, ...]:
    """The files, if no shard of them is missing."""
    counts = {match["count"] for path in files if (match := _SHARD.fullmatch(path.stem))}
    if {1 if count is None else int(count) for count in counts} != {len(files)}:
        found = f"{len(files)} like {files[0].name}"
        raise InputError(
            "a shard is missing, or one too many", place=folder, found=found, remedy="get all of one split"
        )
    return tuple(files)


def _chosen(folder: Path, names: list[str], split: str | None) -> str:
    shown = ", ".join(name or "one without a name" for name in names[:_SHOWN])
    if split is None and len(names) == 1:
        return names[0]
    if split is None or split not in names:
        problem = "several splits" if split is None else f"no split '{split}'"
        raise InputError(problem, place=f"{folder}: split", found=shown or "none", remedy="name one: split: NAME")
    return split


def _document(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    if size > _MOST:
        raise InputError("larger than any such document", place=path, found=f"{size:,} bytes", remedy="is it one?")
    with reading(path, "a map in JSON"):
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(type(found).__name__)
    return found
