"""Data sets of the Hugging Face hub, or saved as it does. The datasets library says which files a split is; rbench reads them itself.

The library would unpack whatever a file declares, and its pictures too; so nothing is prepared or decoded by it.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rbench.datasets.arrow import read_arrow
from rbench.datasets.hub_folders import (
    COMMIT,
    REPOSITORY,
    cached_repository,
    commits_in,
    prepared_below,
    prepared_of,
    saved_in,
    snapshot_of,
)
from rbench.datasets.parquet import parquet
from rbench.datasets.pictures import Channels, Geometry, Side
from rbench.datasets.shards import shards_of
from rbench.datasets.types import Dataset
from rbench.errors import InputError, MissingError, RbenchError
from rbench.offline import refuse_offline

DECIDES_NOTHING = ("download",)
"""Parameters that are no part of what is computed."""
_SHOWN = 8
_WITHOUT_CODE = 4
"""The major version of the datasets library from which on it runs no code of a data set."""


@dataclass(frozen=True)
class _Found:
    """Files of one split, all Arrow or all parquet.

    Attributes:
        folder: where the data set is.
        files: in order.
        split: which; None where nothing says.
    """

    folder: Path
    files: tuple[Path, ...]
    split: str | None


def files(
    name: Path,
    *,
    config: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    download: bool = False,
    **_: object,
) -> list[Path]:
    """The files whose bytes decide the outcome; fetched first if they are missing and `download` says so."""
    return list(_found(name, config, split, revision, download=download).files)


def hf(
    name: Path,
    *,
    config: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    image: str | None = None,
    label: str | None = None,
    download: bool = False,
    size: Side | None = None,
    crop: Side | None = None,
    channels: Channels = "auto",
) -> Dataset:
    """Data sets of pictures with class numbers from the Hugging Face hub, its caches or a folder: parquet and Arrow files.

    Names of classes are those of the data set. Pictures are decoded when they are read.

    Args:
        name: `owner/name` on the hub, or a folder: one of `save_to_disk`, of parquet files, or of a cache of the Hugging Face libraries.
        config: which configuration of the data set; the only one if not given.
        split: which part; the only one if not given.
        revision: the commit on the hub, 40 hex digits; what lies under a branch or a tag changes.
        image: name of the column of pictures; the only such column if not given.
        label: name of the column of class numbers; `label` or the only column of integers if not given.
        download: fetch the files from the hub if they are in none of the caches.
        size: length that the shorter side is resized to (bilinear, antialiased).
        crop: side of the square cut out of the centre.
        channels: 1 for grey, 3 for RGB; `auto` takes each picture as it is stored.
    """
    found = _found(name, config, split, revision, download=download)
    if found.files[0].suffix == ".arrow":
        geometry = Geometry(size, crop, channels)
        data = read_arrow(found.files, found.folder, image=image, label=label, geometry=geometry)
    else:
        path, own = _as_parquet(found)
        data = parquet(path, split=own, image=image, label=label, size=size, crop=crop, channels=channels)
    notes = (f"split '{found.split}'",) if found.split and not data.notes else data.notes
    origin = {"hub": None if name.is_dir() else str(name), "split": found.split, "revision": revision, "config": config}
    provenance = {**data.provenance, **{key: value for key, value in origin.items() if value is not None}}
    return replace(data, provenance=provenance, notes=notes)


def _found(name: Path, config: str | None, split: str | None, revision: str | None, *, download: bool) -> _Found:
    """The files of a split.

    Raises:
        InputError: nothing like it is here, or it is not clear which is meant.
        MissingError: it is not here and cannot or may not be fetched.
    """
    folder = _local(name, revision) if name.is_dir() else _of_hub(str(name), config, split, revision, download=download)
    saved = saved_in(prepared_below(folder) or folder, split)
    if saved is not None:
        return _Found(folder, saved.files, saved.split)
    return _resolved(folder, config, split)


def _local(folder: Path, revision: str | None) -> Path:
    if (folder / "snapshots").is_dir():
        snapshot = snapshot_of(folder, revision)
        if snapshot is None:
            found, remedy = ", ".join(commits_in(folder)) or "no commits", "name one of these"
            raise InputError(f"no commit {revision}", place=f"{folder}: revision", found=found, remedy=remedy)
        return snapshot
    if revision is not None:
        remedy = "leave revision out; a folder is told by the hash of its files"
        raise InputError("a folder has no revision", place=folder, found=f"revision: {revision}", remedy=remedy)
    return folder


def _of_hub(name: str, config: str | None, split: str | None, revision: str | None, *, download: bool) -> Path:
    component, cached = f"dataset 'hf:{name}'", cached_repository(name)
    if not REPOSITORY.fullmatch(name):
        remedy = "give owner/name as on the hub, or a folder that is there"
        raise InputError("no such folder", component=component, place=name, remedy=remedy)
    if revision is None or not COMMIT.fullmatch(revision):
        here = commits_in(cached)
        known = f", e.g. {here[0]}, which the cache has" if here else ""
        problem = "a data set of the hub is named by its commit, 40 hex digits"
        found, remedy = "nothing" if revision is None else revision, f"write revision: COMMIT{known}"
        raise InputError(problem, component=component, place="revision", found=found, remedy=remedy)
    snapshot = snapshot_of(cached, revision)
    if snapshot is not None and _has(snapshot, config, split):
        return snapshot
    prepared = prepared_of(name, config, revision)
    if prepared is not None:
        return prepared
    if not download:
        problem = f"commit {revision[:12]} is in no cache of the Hugging Face libraries"
        if snapshot is not None:
            problem = f"commit {revision[:12]} is in the cache, but not all files of the split"
        remedy = "say download: true, or give its folder: hf:FOLDER"
        raise InputError(problem, component=component, place=cached, remedy=remedy)
    refuse_offline(f"commit {revision[:12]}", component=component, place=cached, remedy="copy the cache here")
    _fetch(name, config, split, revision, component)
    fetched = snapshot_of(cached, revision)
    if fetched is None:
        raise MissingError(
            "nothing was fetched", component=component, place=cached, remedy="give its folder: hf:FOLDER"
        )
    return fetched


def _has(snapshot: Path, config: str | None, split: str | None) -> bool:
    """Whether the files of a split are in a snapshot, which may have been fetched in part."""
    try:
        return bool(saved_in(snapshot, split) or _resolved(snapshot, config, split))
    except InputError:
        return False


def _resolved(folder: Path, config: str | None, split: str | None) -> _Found:
    """The files of a split of a folder, as the datasets library tells by their names and its README.

    Raises:
        InputError: it finds none, no such configuration or split, or files that are neither parquet nor Arrow.
    """
    with _builder(str(folder), config, f"{folder}") as builder:
        found = {str(key): [Path(file) for file in value] for key, value in (builder.config.data_files or {}).items()}
    splits = {key: value for key, value in found.items() if value}
    names = ", ".join(list(splits)[:_SHOWN])
    if split is None and len(splits) == 1:
        split = next(iter(splits))
    if split is None or split not in splits:
        problem = "several splits" if split is None and splits else f"no split '{split}'"
        remedy = "name one: split: NAME"
        raise InputError(problem, place=f"{folder}: split", found=names or "no data files", remedy=remedy)
    kinds = {path.suffix for path in splits[split]}
    if kinds not in ({".parquet"}, {".arrow"}):
        remedy = "load it with datasets and save_to_disk, or use image-folder or webdataset"
        found_kinds = ", ".join(sorted(kinds))[:80]
        raise InputError("neither parquet nor Arrow files", place=folder, found=found_kinds, remedy=remedy)
    return _Found(folder, tuple(splits[split]), split)


def _as_parquet(found: _Found) -> tuple[Path, str | None]:
    """What `parquet` is to be given for these files: the only one, or their folder and the split as its names tell it.

    Raises:
        InputError: they are not the files of one split of one folder.
    """
    if len(found.files) == 1:
        return found.files[0], None
    folder = found.files[0].parent
    for own in (found.split, None):
        try:
            if set(shards_of(folder, own).files) == set(found.files):
                return folder, own
        except InputError:
            continue
    remedy = "load it with datasets and save_to_disk, then give that folder"
    raise InputError(
        f"the files of split '{found.split}' are not all shards of one folder",
        place=found.folder,
        found=f"{len(found.files)} files",
        remedy=remedy,
    )


@contextmanager
def _builder(path: str, config: str | None, place: str, revision: str | None = None) -> Iterator[Any]:
    """What the datasets library knows of a data set before it reads any; its own cache stays as it is."""
    import datasets

    if int(datasets.__version__.partition(".")[0]) < _WITHOUT_CODE:
        remedy = "pip install 'rbench[hf]'"
        problem = f"datasets {datasets.__version__} runs code that it finds in a data set"
        raise MissingError(problem, place=place, remedy=remedy)
    with tempfile.TemporaryDirectory(prefix="rbench-hf-") as cache, _quiet("huggingface_hub.repocard"):
        try:
            builder = datasets.load_dataset_builder(path, name=config, revision=revision, cache_dir=cache)
        except Exception as error:  # two dozen types, of four libraries
            cause = " ".join(str(error).split())[:200] or type(error).__name__
            remedy = "is it a data set of parquet or Arrow files? Name its configuration with config: NAME"
            raise InputError(f"no data set that can be told ({cause})", place=place, remedy=remedy) from error
        yield builder


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """Keeps a library from telling on stderr that a folder has no README with metadata, which it need not have."""
    speaker = logging.getLogger(logger)
    level = speaker.level
    speaker.setLevel(logging.ERROR)
    try:
        yield
    finally:
        speaker.setLevel(level)


def _fetch(name: str, config: str | None, split: str | None, revision: str, component: str) -> None:
    """Fetches the files of a split into the cache of the hub's client.

    Raises:
        MissingError: they cannot be fetched.
    """
    from huggingface_hub import hf_hub_download

    try:
        with _builder(name, config, component, revision) as builder:
            listed = {str(key): list(value) for key, value in (builder.config.data_files or {}).items()}
        chosen = split if split is not None else next(iter(listed), "")
        if chosen not in listed or (split is None and len(listed) > 1):
            found = ", ".join(list(listed)[:_SHOWN]) or "none"
            raise InputError(
                "which split?", component=component, place="split", found=found, remedy="name one: split: NAME"
            )
        for url in listed[chosen]:
            file = str(url).rpartition(f"@{revision}/")[2]
            hf_hub_download(name, file, repo_type="dataset", revision=revision)
    except ImportError:
        raise
    except RbenchError as error:
        if error.__cause__ is None:
            raise
        raise _unreachable(error.__cause__, component) from error
    except Exception as error:  # of four libraries, which have a dozen types
        raise _unreachable(error, component) from error


def _unreachable(error: BaseException, component: str) -> RbenchError:
    cause = " ".join(str(error).split())[:120] or type(error).__name__
    remedy = "without network, copy its folder here and give hf:FOLDER"
    return MissingError(f"could not be fetched ({cause})", component=component, place="the hub", remedy=remedy)
