"""Corrupted images that others have made, matched with the clean ones: the layouts of CIFAR-10-C and of ImageNet-C."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rbench.datasets.files import require
from rbench.datasets.image_folder import _classes, _pictures
from rbench.datasets.imagenet import listed_photos
from rbench.datasets.mapped import mapped_array
from rbench.datasets.npz import channels_first
from rbench.datasets.pictures import Geometry, read_picture
from rbench.datasets.types import Dataset, Ids, check_labels
from rbench.errors import InputError

BLOCKS = 5
"""Severities in a file of CIFAR-10-C, the mildest first."""

Bytes = NDArray[np.uint8]
Read = Callable[[Ids, int], Bytes]
"""(ids [B], severity) -> uint8 [B, C, H, W]."""


def corrupted_files(folder: Path, name: str, dataset: Dataset, source: str, params: Mapping[str, Any]) -> Read:
    """A reader of the images of one corruption, matched with the samples of a clean data set.

    Args:
        folder: of all corruptions.
        name: as suites write it, e.g. `gaussian-noise`.
        dataset: the clean images.
        source: registry name of the data set, e.g. `imagenet`.
        params: its parameters, with paths as given.

    Raises:
        InputError: the files do not belong to these samples: another number, other labels, another size.
    """
    own = name.replace("-", "_")
    arrays = folder / f"{own}.npy"
    if arrays.is_file():
        return _of_arrays(arrays, folder / "labels.npy", dataset)
    return _of_pictures(folder / own, dataset, source, params)


def _of_arrays(file: Path, label_file: Path, dataset: Dataset) -> Read:
    """CIFAR-10-C: five blocks of all images of the test set, one below the other, each in the order of the clean set."""
    x = channels_first(mapped_array(file, "images"), "auto", str(file))
    y = check_labels(np.asarray(mapped_array(require(label_file, ".npy file of labels"), "labels")), str(label_file))
    count = len(dataset.labels)
    if x.dtype != np.uint8:
        raise InputError("expected images of uint8", place=file, found=str(x.dtype))
    if len(x) != BLOCKS * count:
        remedy = f"it needs {BLOCKS} severities of the {count} clean images"
        raise InputError(f"{len(x)} images", place=file, found=f"{len(x)} images", remedy=remedy)
    if len(y) not in (count, BLOCKS * count):
        found = f"{len(y)} labels"
        raise InputError(found, place=label_file, found=found, remedy=f"it needs {BLOCKS * count}, as many as images")
    _require_shape(x.shape[1:], dataset, file)
    for start in range(0, len(y), count):
        _require_labels(y[start : start + count], dataset, label_file, start)

    def read(ids: Ids, severity: int) -> Bytes:
        return np.ascontiguousarray(x[(severity - 1) * count + ids], np.uint8)

    return read


def _require_labels(labels: NDArray[np.int64], dataset: Dataset, file: Path, start: int) -> None:
    """Refuses labels that are not those of the clean images; where some classes were chosen, those that are renumbered otherwise."""
    here, there = labels[dataset.ids], dataset.labels[dataset.ids]
    if dataset.chosen is not None:
        first = {int(one): int(other) for one, other in zip(here[::-1], there[::-1], strict=True)}
        here = np.array([first[int(one)] for one in here]) if len(set(first.values())) == len(first) else here
    wrong = np.flatnonzero(here != there)
    if len(wrong):
        sample = int(dataset.ids[wrong[0]])
        problem = f"label {labels[sample]}, the clean image has {there[wrong[0]]}"
        place = f"{file}: sample {start + sample}"
        raise InputError(
            problem, place=place, found=f"label {labels[sample]}", remedy="are these the same images in the same order?"
        )


def _of_pictures(folder: Path, dataset: Dataset, source: str, params: Mapping[str, Any]) -> Read:
    """ImageNet-C: folders `SEVERITY/CLASS/FILE`, in which a picture has the class and the name of the clean one."""
    names = _names(source, params)
    geometry = Geometry(channels=3 if dataset.shape[0] == 3 else 1)

    def picture(sample: int, severity: int) -> Bytes:
        kind, name = names[sample]
        path = folder / str(severity) / kind / name
        pixels, _ = read_picture(require(path, "corrupted picture"), str(path), geometry)
        _require_shape(pixels.shape, dataset, path)
        levels: Bytes = np.rint(pixels * np.float32(255)).astype(np.uint8)
        return levels

    return lambda ids, severity: np.stack([picture(int(sample), severity) for sample in ids])


def _names(source: str, params: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """The class folder and the file name of each sample of a data set of pictures in folders, by its id."""
    if source == "imagenet":
        names = params.get("list")
        photos = listed_photos(Path(params["path"]), None if names is None else Path(names))
        return [(photo.parent.name, photo.name) for photo, _ in photos]
    if source == "image-folder":
        return [
            (kind.name, one.relative_to(kind).as_posix())
            for kind in _classes(Path(params["path"]))
            for one in _pictures(kind)[0]
        ]
    problem = f"the layout of ImageNet-C is matched by names of files, which data set {source!r} has not."
    raise InputError(problem, place="threat.path", found=source, remedy="Take imagenet or image-folder")


def _require_shape(shape: Sequence[int], dataset: Dataset, file: Path) -> None:
    if tuple(shape) != dataset.shape:
        found, wanted = ("x".join(map(str, one)) for one in (shape, dataset.shape))
        raise InputError(
            f"images of {found}, the clean ones have {wanted}",
            place=file,
            found=found,
            remedy="the sizes must be equal",
        )
