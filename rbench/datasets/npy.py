"""Images and labels in .npy files of their own, among them the corrupted images of Hendrycks and Dietterich (CIFAR-10-C)."""

from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray

from rbench.datasets.class_names import read_class_names
from rbench.datasets.files import require
from rbench.datasets.mapped import mapped_array
from rbench.datasets.npz import Layout, channels_first, check_pixels
from rbench.datasets.types import Dataset, Ids, Images, Labels, check_labels
from rbench.errors import InputError

Severity = Annotated[int, Interval(ge=1, le=5)]

SEVERITIES = 5
"""Blocks of equal length that a file of corrupted images is made of, the mildest first: in CIFAR-10-C, 10,000 images each."""
_LABELS, _IMAGES = "labels.npy", "images"
_LOOKED_AT = 256
"""Images of a file that is made; the others are looked at when they are read."""
_SHOWN = 20


def files(
    path: Path,
    *,
    labels: Path | None = None,
    corruption: str | None = None,
    class_names: Path | None = None,
    **_: object,
) -> list[Path]:
    """The files whose bytes decide the outcome: images, labels and names."""
    return [*_files(path, labels, corruption), *([] if class_names is None else [class_names])]


def npy(
    path: Path,
    *,
    labels: Path | None = None,
    corruption: str | None = None,
    severity: Severity | None = None,
    layout: Layout = "auto",
    class_names: Path | None = None,
) -> Dataset:
    """Arrays in .npy files: a folder in the layout of CIFAR-10-C, or a file each of images and labels.

    Images are uint8 in 0..255 or floats in [0, 1], [N, C, H, W], [N, H, W, C] or, if grey, [N, H, W]. They stay on the disk
    until they are read; pickled objects are never loaded. The layout is that of Hendrycks and Dietterich 2019, arXiv 1903.12261: files
    `gaussian_noise.npy` and so on, in which the n-th of five equal blocks has severity n, and `labels.npy` for all blocks. The id of a
    sample is its place in its block, so that a photo has one id in all of them.

    Args:
        path: the .npy file of images, or the folder.
        labels: the .npy file of labels; `labels.npy` beside the images if not given.
        corruption: which file of the folder, e.g. `gaussian_noise`.
        severity: which of the five blocks of the file; all that is in it if not given.
        layout: where the channel axis is; `auto` looks for the axis of length 1 or 3.
        class_names: a text file of the names of the classes, one a line.
    """
    image_file, label_file = _files(path, labels, corruption)
    y = check_labels(np.asarray(mapped_array(label_file, "labels")), str(label_file))
    x = channels_first(mapped_array(image_file, "images"), layout, str(image_file))
    if severity is not None:
        x, y = _of_severity(x, y, severity, image_file)
    if len(x) != len(y):
        counts = f"{len(x)} images but {len(y)} labels"
        remedy = f"give severity: 1 to {SEVERITIES}" if len(x) == SEVERITIES * len(y) else "they must pair up"
        raise InputError(counts, place=image_file, found=counts, remedy=remedy)
    check_pixels(x[:_LOOKED_AT], str(image_file))
    scale = np.float32(255 if x.dtype == np.uint8 else 1)

    def read(ids: Ids) -> Images:
        return np.asarray(x[ids]).astype(np.float32) / scale

    block = {} if severity is None else {"severity": str(severity)}
    provenance = {"source": str(image_file), "images": f"{x.dtype} to float32", **block}
    notes = () if x.dtype in (np.uint8, np.float32) else (f"images of {x.dtype} were rounded to float32",)
    return Dataset(y, read, read_class_names(class_names), provenance, notes=notes)


def _files(path: Path, labels: Path | None, corruption: str | None) -> tuple[Path, Path]:
    """The files of images and labels.

    Raises:
        InputError: one is missing, or it is not clear which file of the folder is meant.
    """
    if not path.is_dir():
        image_file = require(path, ".npy file of images, or a folder of them")
        if corruption is not None:
            remedy = "leave corruption out, or give the folder of all files"
            raise InputError(
                "one file has one corruption", place=path, found=f"corruption: {corruption}", remedy=remedy
            )
    else:
        image_file = path / f"{_chosen(path, corruption)}.npy"
    label_file = image_file.with_name(_LABELS) if labels is None else labels
    if not label_file.is_file():
        raise InputError("no such file", place=label_file, remedy="name the file of the labels with labels: FILE")
    return image_file, label_file


def _chosen(folder: Path, corruption: str | None) -> str:
    there = sorted(file.stem for file in folder.glob("*.npy") if file.name != _LABELS)
    wanted = corruption.replace("-", "_") if corruption else None
    if wanted in there:
        return str(wanted)
    if wanted is None and (len(there) == 1 or _IMAGES in there):
        return _IMAGES if _IMAGES in there else there[0]
    found = ", ".join(there[:_SHOWN]) + (", ..." if len(there) > _SHOWN else "") or "no .npy files of images"
    problem = "which of its files?" if wanted is None else f"no {wanted}.npy in this folder"
    place = folder if wanted is None else f"{folder}: corruption"
    raise InputError(problem, place=place, found=found, remedy="name one: corruption: NAME")


def _of_severity(x: NDArray[np.generic], y: Labels, severity: int, place: Path) -> tuple[NDArray[np.generic], Labels]:
    """Images and labels of one block.

    Raises:
        InputError: there are no five equal blocks, or their labels differ.
    """
    count, more = divmod(len(x), SEVERITIES)
    if more or not count:
        problem, found = f"no {SEVERITIES} blocks of equal length", f"{len(x)} images"
        raise InputError(problem, place=f"{place}: severity", found=found, remedy="leave severity out")
    if len(y) == len(x):
        blocks = y.reshape(SEVERITIES, count)
        wrong = np.flatnonzero((blocks != blocks[0]).any(0))
        if len(wrong):
            first = int(wrong[0])
            found = f"labels {', '.join(map(str, blocks[:, first]))} of image {first}"
            remedy = f"the layout has {SEVERITIES} blocks of the same images; leave severity out for any other"
            raise InputError("the blocks have other labels", place=f"{place}: severity", found=found, remedy=remedy)
        y = blocks[0]
    return x[(severity - 1) * count : severity * count], y
