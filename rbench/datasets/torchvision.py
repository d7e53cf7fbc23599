"""Labelled image data sets that torchvision reads."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rbench.datasets.files import reading
from rbench.datasets.imagenet import imagenet
from rbench.datasets.pictures import Channels, Geometry, Side, read_picture, stack
from rbench.datasets.sizes import file_size, refuse_unpacked
from rbench.datasets.torchvision_sets import KEPT, Kept
from rbench.datasets.types import Dataset, Ids, Images
from rbench.errors import InputError, MissingError
from rbench.offline import refuse_offline

Name = Literal[
    "CIFAR10", "CIFAR100", "SVHN", "STL10", "MNIST", "FashionMNIST", "KMNIST", "EMNIST", "Imagenette", "ImageNet",
    "Places365", "Food101", "Flowers102", "OxfordIIITPet", "EuroSAT", "GTSRB", "DTD", "Caltech101", "Caltech256",
    "Country211", "FGVCAircraft", "SUN397", "RenderedSST2",
]  # fmt: skip
Split = Literal["test", "train", "val", "trainval", "extra", "all"]

DECIDES_NOTHING = ("download",)
"""Parameters that are no part of what is computed."""


def files(
    name: Name,
    *,
    root: Path,
    split: Split = "test",
    variant: str | None = None,
    download: bool = False,
    **_: object,
) -> list[Path]:
    """The files whose bytes decide the outcome; fetched first if they are missing and `download` says so."""
    kept = KEPT[name]
    part, form = _part(name, split), _form(name, variant)
    paths = [root / place for place in kept.needs(part, form)]
    missing = next((path for path in paths if not path.exists()), None)
    if missing is None:
        return paths
    component = f"dataset 'torchvision:{name}'"
    if not download or not kept.fetched:
        way = ", or say download: true" if kept.fetched else "; torchvision cannot fetch it"
        remedy = f"{name} is not under root {root}. Put it there{way}"
        raise InputError("not there", component=component, place=missing, remedy=remedy)
    refuse_offline(name, component=component, place=root, remedy="copy the files there")
    try:
        _open(name, root, part, form, download=True)
    except (OSError, RuntimeError) as error:
        cause = " ".join(str(error).split())[:120]
        raise MissingError(
            f"{name} could not be downloaded ({cause})",
            component=component,
            place=root,
            remedy="without network, copy the files there",
        ) from error
    return paths


def torchvision(
    name: Name,
    *,
    root: Path,
    split: Split = "test",
    download: bool = False,
    variant: str | None = None,
    size: Side | None = None,
    crop: Side | None = None,
    channels: Channels = "auto",
) -> Dataset:
    """A labelled data set that torchvision knows, from files in its layout.

    Args:
        name: the data set, as torchvision's class is called.
        root: the folder torchvision keeps it in.
        split: which part; the test split of Imagenette, ImageNet and Places365 is their `val`. Sets that come in one part have `all`.
        download: fetch the files if they are not there.
        variant: which form of it, the first if not given: 320px, full or 160px of Imagenette; small or large of Places365; balanced,
            letters, digits, mnist, byclass or bymerge of EMNIST; variant, family or manufacturer of FGVCAircraft; partition 1 to 10 of DTD.
        size: length that the shorter side is resized to (bilinear, antialiased).
        crop: side of the square cut out of the centre.
        channels: 1 for grey, 3 for RGB; `auto` takes arrays as they are stored, and photos as RGB.
    """
    for path in files(name, root=root, split=split, variant=variant, download=download):
        if path.is_file():
            refuse_unpacked(path.stat().st_size, file_size(path), path, "data")
    kept, part = KEPT[name], _part(name, split)
    geometry = Geometry(size, crop, channels)
    colours = replace(geometry, channels=3 if channels == "auto" else channels)
    if name == "ImageNet":
        return imagenet(root / part, size=size, crop=crop, channels=colours.channels)
    with reading(root, f"torchvision's {name}"):
        samples = _open(name, root, part, _form(name, variant), download=False)
        stored = None if kept.pictures is None else [(Path(path), int(label)) for path, label in kept.pictures(samples)]
    provenance = {"source": f"torchvision:{name}", "root": str(root)}
    names = kept.classes or _class_names(samples)
    if stored is not None:
        return _of_pictures(stored, names, colours, provenance)

    def picture(sample: int) -> Images:
        where = f"{name}: sample {sample}"
        with reading(where, "a picture"):
            opened = samples[sample][0]
        return geometry.pixels(opened, where)

    def read(ids: Ids) -> Images:
        return stack([picture(int(i)) for i in ids], ids.tolist(), name)

    labels = np.asarray(samples.labels if hasattr(samples, "labels") else samples.targets)
    return Dataset(labels, read, names, provenance)


def _of_pictures(
    stored: Sequence[tuple[Path, int]], names: tuple[str, ...], geometry: Geometry, provenance: dict[str, str]
) -> Dataset:
    """Files of pictures that torchvision has only listed: they are opened as those of every other data set."""
    changes: dict[int, tuple[str, ...]] = {}

    def picture(sample: int) -> Images:
        path = stored[sample][0]
        pixels, changes[sample] = read_picture(path, str(path), geometry)
        return pixels

    def read(ids: Ids) -> Images:
        return stack([picture(int(i)) for i in ids], ids.tolist(), provenance["source"])

    labels = np.array([label for _, label in stored], np.int64)
    return Dataset(labels, read, names, provenance, changes=changes)


def _open(name: Name, root: Path, part: str, form: str, *, download: bool) -> Any:
    """The object of torchvision's class, which has read or listed all of a split."""
    import torch
    from torchvision import datasets

    given = KEPT[name].options(part, form)
    with torch.device("cpu"):
        return getattr(datasets, name)(root, **given, download=download)


def _part(name: Name, split: Split) -> str:
    """What torchvision calls a split.

    Raises:
        InputError: the data set has none of this name.
    """
    parts = KEPT[name].parts
    if split not in parts:
        place, remedy = f"torchvision:{name}: split", f"it has {', '.join(parts)}: write split: {next(iter(parts))}"
        raise InputError(f"{name} has no split '{split}'", place=place, found=split, remedy=remedy)
    return parts[split]


def _form(name: Name, variant: str | None) -> str:
    """The variant, or the usual one; nothing where there is one form.

    Raises:
        InputError: the data set has none of this name.
    """
    kept: Kept = KEPT[name]
    if variant is not None and variant not in kept.variants:
        known = f"it has {', '.join(kept.variants)}" if kept.variants else "leave it out"
        raise InputError(f"{name} has no variant '{variant}'", place=f"torchvision:{name}: variant", remedy=known)
    return variant or next(iter(kept.variants), "")


def _class_names(samples: Any) -> tuple[str, ...]:
    names = getattr(samples, "classes", None) or getattr(samples, "categories", None) or map(str, range(10))
    return tuple(name if isinstance(name, str) else name[0] for name in names)
