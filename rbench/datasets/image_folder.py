"""Pictures sorted into one folder per class."""

from pathlib import Path

import numpy as np

from rbench.datasets.files import require
from rbench.datasets.numbered import in_order, told_order
from rbench.datasets.pictures import Channels, Geometry, Side, read_picture, stack
from rbench.datasets.types import Dataset, Ids, Images
from rbench.errors import InputError

_SUFFIXES = (
    *(
        ".png",
        ".apng",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".bmp",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".webp",
        ".tif",
        ".tiff",
    ),
    *(".gif", ".jp2", ".j2k", ".jpx", ".jpf", ".avif"),
)
_SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev"}


def _classes(path: Path) -> list[Path]:
    folders = [p for p in require(path, "folder of class folders", folder=True).iterdir() if _visible(p) and p.is_dir()]
    if len(folders) > 1 and {p.name.lower() for p in folders} <= _SPLITS:
        found = ", ".join(sorted(p.name for p in folders))
        remedy = f"give the folder of one, such as {folders[0].name}"
        raise InputError("these are splits, not classes", place=path, found=found, remedy=remedy)
    names = in_order([p.name for p in folders])
    return sorted(folders, key=lambda folder: names.index(folder.name))


def _visible(path: Path) -> bool:
    return not path.name.startswith(".")


def _pictures(folder: Path) -> tuple[list[Path], int]:
    """The pictures of a class, and how many other files lie there."""
    files = sorted(p for p in folder.rglob("*") if _visible(p) and p.is_file())
    pictures = [p for p in files if p.suffix.lower() in _SUFFIXES]
    return pictures, len(files) - len(pictures)


def image_folder(
    path: Path, *, size: Side | None = None, crop: Side | None = None, channels: Channels = "auto"
) -> Dataset:
    """Pictures in one folder per class; classes are numbered by the sorted names of the folders, as numbers where all of them are numbered.

    Pictures (PNG, JPEG, BMP, PPM, WEBP, TIFF, GIF; JPEG 2000 and AVIF where Pillow reads them) are decoded when they are read. Hidden files
    are ignored, and so are files of other types, which are counted.

    Args:
        path: the folder that holds the class folders.
        size: length that the shorter side is resized to (bilinear, antialiased).
        crop: side of the square cut out of the centre.
        channels: 1 for grey, 3 for RGB; `auto` takes each picture as it is stored.
    """
    folders = _classes(path)
    found = [_pictures(folder) for folder in folders]
    samples = [(picture, label) for label, (pictures, _) in enumerate(found) for picture in pictures]
    if not samples:
        problem, remedy = f"no pictures in its {len(folders)} class folders", "expected CLASS/PICTURE.png under it"
        raise InputError(problem, place=path, remedy=remedy)
    geometry = Geometry(size, crop, channels)
    changes: dict[int, tuple[str, ...]] = {}

    def picture(sample: int) -> Images:
        file = samples[sample][0]
        pixels, changes[sample] = read_picture(file, str(file), geometry)
        return pixels

    def read(ids: Ids) -> Images:
        return stack([picture(int(i)) for i in ids], ids.tolist(), str(path))

    labels = np.array([label for _, label in samples], np.int64)
    names = tuple(folder.name for folder in folders)
    notes = [*told_order(names), *_told_others(sum(others for _, others in found))]
    return Dataset(labels, read, names, {"source": str(path)}, notes=tuple(notes), changes=changes)


def _told_others(count: int) -> list[str]:
    return [f"{count} files of other types in the class folders were ignored"] if count else []
