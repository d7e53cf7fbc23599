"""ImageNet's validation photos in one folder a class, all of them or those of a list."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from rbench.datasets.files import reading, require
from rbench.datasets.pictures import Channels, Geometry, Side, read_picture, stack
from rbench.datasets.types import Dataset, Ids, Images
from rbench.errors import InputError

CLASSES = 1000
_CLASS = re.compile(r"n[0-9]{8}")
_PICTURES = (".jpeg", ".jpg", ".png")
_MOST = 2**26
"""Bytes of a list."""


def files(path: Path, *, list: Path | None = None, **_: object) -> Sequence[Path]:  # noqa: A002 - as suites have it
    """The files whose bytes decide the outcome: the folder, or the list and the photos that it names."""
    if list is None:
        return [path]
    return [list, *(photo for photo, _ in listed_photos(path, list))]


def imagenet(
    path: Path,
    *,
    list: Path | None = None,  # noqa: A002 - as suites have it
    size: Side | None = 256,
    crop: Side | None = 224,
    channels: Channels = 3,
) -> Dataset:
    """ImageNet photos (ILSVRC 2012) in class folders `n01440764` and so on: labels are those of the 1,000 classes.

    With the list of 5,000 photos that RobustBench evaluates on (`imagenet_test_image_ids.txt` of its package), the id of a sample is its
    line in it. Photos are decoded when they are read.

    Args:
        path: the folder of the 1,000 class folders, usually `val`; a class without photos has an empty one.
        list: a text file with `n01440764/ILSVRC2012_val_00000293.JPEG` or the like in each line; all photos if not given.
        size: length that the shorter side is resized to (bilinear, antialiased); null leaves it.
        crop: side of the square cut out of the centre; null leaves it.
        channels: 1 for grey, 3 for RGB; `auto` takes each picture as it is stored.
    """
    samples = listed_photos(path, list)
    geometry = Geometry(size, crop, channels)
    changes: dict[int, tuple[str, ...]] = {}

    def picture(sample: int) -> Images:
        photo = samples[sample][0]
        pixels, changes[sample] = read_picture(photo, str(photo), geometry)
        return pixels

    def read(ids: Ids) -> Images:
        return stack([picture(int(i)) for i in ids], ids.tolist(), str(path))

    labels = np.array([label for _, label in samples], np.int64)
    provenance = {"source": str(path), **({} if list is None else {"list": list.name})}
    return Dataset(labels, read, _class_names(), provenance, changes=changes)


def listed_photos(folder: Path, names: Path | None) -> Sequence[tuple[Path, int]]:
    """The photos with their labels, in the order of the list, or of the classes and their names.

    Args:
        folder: of the class folders.
        names: the list; None for all.

    Raises:
        InputError: these are not the 1,000 classes, or a line names no photo in them, or one twice.
    """
    classes = {name: number for number, name in enumerate(_classes(folder))}
    if names is not None:
        return _of_list(folder, names, classes)
    photos = [(photo, number) for name, number in classes.items() for photo in _photos(folder / name)]
    if not photos:
        remedy = "expected n01440764/ILSVRC2012_val_00000293.JPEG or the like under it"
        raise InputError("no photos in its class folders", place=folder, remedy=remedy)
    return photos


def _classes(folder: Path) -> Sequence[str]:
    require(folder, "folder of ImageNet's class folders", folder=True)
    found = sorted(path.name for path in folder.iterdir() if path.is_dir() and _CLASS.fullmatch(path.name))
    if len(found) != CLASSES:
        remedy = "labels are places in the sorted list of all; make an empty folder for a class without photos"
        problem = f"expected the {CLASSES:,} class folders n01440764 to n15075141"
        raise InputError(problem, place=folder, found=f"{len(found):,} such folders", remedy=remedy)
    return found


def _photos(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURES and path.is_file())


def _of_list(folder: Path, names: Path, classes: dict[str, int]) -> Sequence[tuple[Path, int]]:
    size = require(names, "text file of photos").stat().st_size
    if size > _MOST:
        raise InputError("larger than any list of photos", place=names, found=f"{size:,} bytes", remedy="is it one?")
    with reading(names, "text", "write one photo a line, e.g. n01440764/ILSVRC2012_val_00000293.JPEG"):
        lines = [line.strip() for line in names.read_text(encoding="utf-8").splitlines()]
    photos: dict[Path, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        place, parts = f"{names}: line {number}", PurePosixPath(line).parts
        if len(parts) != 2 or parts[0] not in classes or parts[1] == "..":
            problem, remedy = "no photo of a class", "write n01440764/ILSVRC2012_val_00000293.JPEG or the like"
            raise InputError(problem, place=place, found=repr(line[:80]), remedy=remedy)
        photo = folder / parts[0] / parts[1]
        if photo in photos or not photo.is_file():
            problem = "a photo twice" if photo in photos else f"not in {folder}"
            remedy = "name each once" if photo in photos else "get all photos of the list"
            raise InputError(problem, place=place, found=repr(line[:80]), remedy=remedy)
        photos[photo] = classes[parts[0]]
    if not photos:
        raise InputError("an empty list", place=names, remedy="name at least one photo")
    return [*photos.items()]


def _class_names() -> tuple[str, ...]:
    """The names that torchvision has for the 1,000 classes, in their order."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
