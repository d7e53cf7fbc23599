"""Tar files in the layout of WebDataset: the members of a sample share their name up to the first dot."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from rbench.datasets.class_names import read_class_names
from rbench.datasets.files import reading, require
from rbench.datasets.numbered import in_order
from rbench.datasets.pictures import Channels, Geometry, Side, read_picture, stack
from rbench.datasets.sizes import MOST_PICTURE
from rbench.datasets.tar_members import Member, members_of
from rbench.datasets.types import Dataset, Ids, Images
from rbench.errors import InputError

_PICTURES = frozenset(
    ("png", "jpg", "jpeg", "jpe", "jfif", "bmp", "ppm", "pgm", "pbm", "pnm", "webp", "tif", "tiff", "gif")
) | frozenset(("jp2", "j2k", "jpx", "jpf", "avif"))
_MOST_LABEL = 2**20
"""Bytes of a member that holds a label."""
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_SHARD = re.compile(r"(?P<split>.*?)[-_.]?(?P<number>[0-9]+)", re.DOTALL)
_SHOWN = 8
_NAME = 60


@dataclass(frozen=True)
class _Sample:
    """The picture and the label of a sample."""

    picture: Member
    label: Member


def files(path: Path, *, split: str | None = None, class_names: Path | None = None, **_: object) -> list[Path]:
    """The files whose bytes decide the outcome: the shards of one split in their order, and the names."""
    return [*_shards(path, split), *([] if class_names is None else [class_names])]


def webdataset(
    path: Path,
    *,
    split: str | None = None,
    image: str | None = None,
    label: str = "cls",
    class_names: Path | None = None,
    size: Side | None = None,
    crop: Side | None = None,
    channels: Channels = "auto",
) -> Dataset:
    """Shards of WebDataset: uncompressed tar files in which `0001.jpg` and `0001.cls` are one sample.

    Nothing is unpacked: of each picture its place is remembered, and it is decoded when it is read. Pickled members are never looked
    at. The id of a sample is its place in the shards, which are ordered by their numbers.

    Args:
        path: the .tar file, or a folder of them.
        split: which part of a folder with several: what stands before the number of a shard, or the folder that it lies in.
        image: ending of the members that are pictures; the only one of a picture if not given.
        label: ending of the members that hold the class number as text, or `json:KEY` for a number in .json members.
        class_names: a text file of the names of the classes, one a line.
        size: length that the shorter side is resized to (bilinear, antialiased).
        crop: side of the square cut out of the centre.
        channels: 1 for grey, 3 for RGB; `auto` takes each picture as it is stored.
    """
    ending, _, key = label.partition(":")
    samples = [sample for shard in _shards(path, split) for sample in _samples(shard, image, ending)]
    labels = np.array([_number(sample, key) for sample in samples])
    geometry = Geometry(size, crop, channels)
    changes: dict[int, tuple[str, ...]] = {}

    def picture(sample: int) -> Images:
        member = samples[sample].picture
        where = f"{member.path}: sample {sample} ({member.shown})"
        if member.size > MOST_PICTURE:
            raise InputError(
                "larger than any picture", place=where, found=f"{member.size:,} bytes", remedy="is it one?"
            )
        with reading(where, "a member of a tar file"):
            content = member.read()
        pixels, changes[sample] = read_picture(content, where, geometry)
        return pixels

    def read(ids: Ids) -> Images:
        return stack([picture(int(i)) for i in ids], ids.tolist(), str(path))

    provenance = {"source": str(path), **({} if split is None else {"split": split})}
    return Dataset(labels, read, read_class_names(class_names), provenance, changes=changes)


def _samples(shard: Path, image: str | None, label: str) -> Iterable[_Sample]:
    """The samples of a shard, in the order in which each begins.

    Raises:
        InputError: one lacks its picture or its label, or has a member twice.
    """
    grouped: dict[str, dict[str, Member]] = {}
    for member in members_of(shard):
        folder, _, name = member.name.rpartition("/")
        stem, _, ending = name.partition(".")
        if not stem or not ending:
            continue
        own = grouped.setdefault(f"{folder}/{stem}", {})
        if ending.lower() in own:
            remedy = "give each sample a name of its own"
            raise InputError("a member twice", place=shard, found=member.shown, remedy=remedy)
        own[ending.lower()] = member
    if not grouped:
        raise InputError("no samples", place=shard, remedy="expected members such as 0001.jpg and 0001.cls")
    for key, own in grouped.items():
        wanted = image.lower() if image is not None else None
        yield _Sample(_picture(shard, key, own, wanted), _member(shard, key, own, label.lower(), "label"))


def _picture(shard: Path, key: str, own: Mapping[str, Member], wanted: str | None) -> Member:
    if wanted is not None:
        return _member(shard, key, own, wanted, "image")
    fitting = [ending for ending in own if ending in _PICTURES]
    if len(fitting) != 1:
        problem = "several pictures" if fitting else "no picture"
        place = f"{shard}: {key[-_NAME:]!r}"
        raise InputError(problem, place=place, found=_shown(own), remedy="name its ending with image: ENDING")
    return own[fitting[0]]


def _member(shard: Path, key: str, own: Mapping[str, Member], ending: str, what: str) -> Member:
    if ending not in own:
        place = f"{shard}: {key[-_NAME:]!r}"
        remedy = f"name its ending with {what}: ENDING"
        raise InputError(f"no member .{ending} for the {what}", place=place, found=_shown(own), remedy=remedy)
    return own[ending]


def _shown(own: Mapping[str, Member]) -> str:
    return ", ".join(repr(f".{ending[:20]}") for ending in list(own)[:_SHOWN])


def _number(sample: _Sample, key: str) -> int:
    """The class number in a member: text, or a value of a map in JSON.

    Raises:
        InputError: there is none.
    """
    member = sample.label
    where = f"{member.path}: {member.shown}"
    if member.size > _MOST_LABEL:
        raise InputError("larger than any label", place=where, found=f"{member.size:,} bytes", remedy="is it one?")
    with reading(where, "a label", "store the class number as text"):
        text = member.read().decode().strip()
        value = _of_json(text, key) if sample.label.name.lower().endswith(".json") else text
    written = str(value)
    if isinstance(value, bool | float) or not _NUMBER.fullmatch(written):
        found, remedy = repr(written[:40]), "class numbers are integers from 0 up"
        raise InputError("no class number", place=where, found=found, remedy=remedy)
    return int(written)


def _of_json(text: str, key: str) -> object:
    document = json.loads(text)
    wanted = key or "label"
    if not isinstance(document, dict) or wanted not in document:
        raise ValueError(f"no map with the key '{wanted[:40]}'")
    value: object = document[wanted]
    return value


def _shards(path: Path, split: str | None) -> list[Path]:
    """The tar files of one split, in the order of their numbers.

    Raises:
        InputError: there are none, several splits and none is named, none of that name, or a number is missing.
    """
    if not path.is_dir():
        require(path, ".tar file, or a folder of them")
        if split is not None:
            remedy = "leave split out, or give the folder of all shards"
            raise InputError("one file has one split", place=path, found=f"split: {split}", remedy=remedy)
        return [path]
    found, inside = list(path.glob("*.tar")), sorted({p.parent.name for p in path.glob("*/*.tar")})
    if not found and split in inside:
        return _shards(path / str(split), None)
    if not found:
        problem = "several splits" if inside else "no .tar files in this folder"
        there = ", ".join(inside[:_SHOWN]) or _packed(path)
        remedy = f"name one, e.g. split: {inside[0]}" if inside else "give the .tar file, or the folder of its shards"
        raise InputError(problem, place=path, found=there, remedy=remedy)
    splits = defaultdict[str, list[Path]](list)
    for file in found:
        shard = _SHARD.fullmatch(file.stem)
        splits[shard["split"] if shard else file.stem].append(file)
    if split is None and len(splits) == 1:
        split = next(iter(splits))
    if split is None or split not in splits:
        names = ", ".join(sorted(name or "shards without a name" for name in splits)[:_SHOWN])
        problem = "several splits" if split is None else f"no split '{split}'"
        raise InputError(problem, place=f"{path}: split", found=names, remedy="name one of these: split: NAME")
    _refuse_gaps(path, splits[split])
    order = in_order([file.stem for file in splits[split]])
    return sorted(splits[split], key=lambda file: order.index(file.stem))


def _packed(folder: Path) -> str | None:
    packed = sorted(p.name for pattern in ("*.tar.*", "*.tgz") for p in folder.glob(pattern))
    return f"{packed[0]}, which is compressed" if packed else None


def _refuse_gaps(folder: Path, shards: list[Path]) -> None:
    """Refuses a split of which a shard is missing: its samples would have other ids."""
    numbers = sorted(int(match["number"]) for file in shards if (match := _SHARD.fullmatch(file.stem)))
    gap = next((one for one, after in pairwise(numbers) if after != one + 1), None)
    if gap is not None:
        found = f"{len(numbers)} shards, and none with number {gap + 1}"
        raise InputError("a shard is missing", place=folder, found=found, remedy="get all of one data set")
