"""Pictures sorted into one folder per class."""

from pathlib import Path

import numpy as np

from rbench.datasets.files import require
from rbench.datasets.pictures import Channels, Geometry, Side, open_picture, stack
from rbench.datasets.types import Dataset, Ids, Images
from rbench.errors import InputError

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp", ".tif", ".tiff")


def _classes(path: Path) -> list[Path]:
    return sorted(
        p for p in require(path, "folder of class folders", folder=True).iterdir() if _visible(p) and p.is_dir()
    )


def _visible(path: Path) -> bool:
    return not path.name.startswith(".")


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and _visible(p) and p.is_file())


def image_folder(
    path: Path, *, size: Side | None = None, crop: Side | None = None, channels: Channels = "auto"
) -> Dataset:
    """Pictures in one folder per class; classes are numbered by the sorted names of the folders.

    Pictures (PNG, JPEG, BMP, PPM, WEBP or TIFF) are decoded when they are read. Hidden files and files of other types are ignored.

    Args:
        path: the folder that holds the class folders.
        size: length that the shorter side is resized to (bilinear, antialiased).
        crop: side of the square cut out of the centre.
        channels: 1 for grey, 3 for RGB; `auto` takes each picture as it is stored.
    """
    folders = _classes(path)
    samples = [(picture, label) for label, folder in enumerate(folders) for picture in _pictures(folder)]
    if not samples:
        problem, remedy = f"no pictures in its {len(folders)} class folders", "expected CLASS/PICTURE.png under it"
        raise InputError(problem, place=path, remedy=remedy)
    geometry = Geometry(size, crop, channels)

    def picture(sample: int) -> Images:
        file = samples[sample][0]
        with open_picture(file, str(file)) as opened:
            return geometry.pixels(opened, str(file))

    def read(ids: Ids) -> Images:
        return stack([picture(int(i)) for i in ids], ids.tolist(), str(path))

    labels = np.array([label for _, label in samples], np.int64)
    return Dataset(labels, read, tuple(folder.name for folder in folders), {"source": str(path)})
