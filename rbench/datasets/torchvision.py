"""Small image datasets that torchvision reads."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rbench.datasets.files import reading
from rbench.datasets.pictures import Channels, Geometry, Side, read_picture, stack
from rbench.datasets.types import Dataset, Ids, Images
from rbench.errors import InputError, MissingError

Name = Literal["CIFAR10", "CIFAR100", "SVHN", "MNIST", "FashionMNIST", "Imagenette"]
Split = Literal["test", "train"]
Variant = Literal["full", "320px", "160px"]

_FOLDERS = {"full": "imagenette2", "320px": "imagenette2-320", "160px": "imagenette2-160"}


def _raw_files(name: Name, root: Path, split: Split, variant: Variant) -> list[Path]:
    """The files in which torchvision keeps one split, or the folder of its pictures."""
    if name in ("MNIST", "FashionMNIST"):
        prefix = "t10k" if split == "test" else "train"
        return [root / name / "raw" / f"{prefix}-{part}-ubyte" for part in ("images-idx3", "labels-idx1")]
    if name == "CIFAR10":
        batches = ["test_batch"] if split == "test" else [f"data_batch_{i}" for i in range(1, 6)]
        return [root / "cifar-10-batches-py" / batch for batch in [*batches, "batches.meta"]]
    if name == "CIFAR100":
        return [root / "cifar-100-python" / split, root / "cifar-100-python" / "meta"]
    if name == "SVHN":
        return [root / f"{split}_32x32.mat"]
    return [root / _FOLDERS[variant] / _imagenette_split(split)]


def _imagenette_split(split: Split) -> str:
    return "val" if split == "test" else "train"


def _open(name: Name, root: Path, split: Split, variant: Variant, *, download: bool) -> Any:
    import torch
    from torchvision import datasets

    with torch.device("cpu"):
        if name == "Imagenette":
            return datasets.Imagenette(root, _imagenette_split(split), size=variant, download=download)
        if name == "SVHN":
            return datasets.SVHN(root, split, download=download)
        return getattr(datasets, name)(root, train=split == "train", download=download)


def files(
    name: Name,
    *,
    root: Path,
    split: Split = "test",
    variant: Variant = "320px",
    download: bool = False,
    **_: object,
) -> list[Path]:
    """The files whose bytes decide the outcome; fetched first if they are missing and `download` says so."""
    paths = _raw_files(name, root, split, variant)
    missing = [path for path in paths if not path.exists()]
    if not missing:
        return paths
    if not download:
        remedy = f"{name} is not under root {root}. Put it there, or say download: true"
        raise InputError("not there", component=f"dataset 'torchvision:{name}'", place=missing[0], remedy=remedy)
    try:
        _open(name, root, split, variant, download=True)
    except (OSError, RuntimeError) as error:
        cause = " ".join(str(error).split())[:120]
        raise MissingError(
            f"{name} could not be downloaded ({cause})",
            component=f"dataset 'torchvision:{name}'",
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
    variant: Variant = "320px",
    size: Side | None = None,
    crop: Side | None = None,
    channels: Channels = "auto",
) -> Dataset:
    """CIFAR10, CIFAR100, SVHN, MNIST, FashionMNIST or Imagenette, from files in torchvision's layout.

    Args:
        name: the dataset.
        root: the folder torchvision keeps it in.
        split: which part; the test split of Imagenette is its `val`.
        download: fetch the files if they are not there.
        variant: which size of Imagenette is stored; the others have one.
        size: length that the shorter side is resized to (bilinear, antialiased).
        crop: side of the square cut out of the centre.
        channels: 1 for grey, 3 for RGB; `auto` takes each picture as it is stored.
    """
    files(name, root=root, split=split, variant=variant, download=download)
    with reading(root, f"torchvision's {name}"):
        samples = _open(name, root, split, variant, download=False)
    geometry = Geometry(size, crop, channels)
    colours: Channels = 3 if channels == "auto" else channels

    changes: dict[int, tuple[str, ...]] = {}
    stored = getattr(samples, "_samples", None)  # (path, label) of Imagenette's pictures, and nothing public

    def picture(sample: int) -> Images:
        if stored is not None:
            path = stored[sample][0]
            pixels, changes[sample] = read_picture(Path(path), str(path), replace(geometry, channels=colours))
            return pixels
        where = f"{name}: sample {sample}"
        with reading(where, "a picture"):
            opened = samples[sample][0]
        return geometry.pixels(opened, where)

    def read(ids: Ids) -> Images:
        return stack([picture(int(i)) for i in ids], ids.tolist(), name)

    provenance = {"source": f"torchvision:{name}", "root": str(root)}
    return Dataset(_labels(samples), read, _class_names(samples), provenance, changes=changes)


def _labels(samples: Any) -> Any:
    if hasattr(samples, "_samples"):
        return np.array([label for _, label in samples._samples], np.int64)
    return np.asarray(samples.labels if hasattr(samples, "labels") else samples.targets)


def _class_names(samples: Any) -> tuple[str, ...]:
    names = getattr(samples, "classes", None) or [str(digit) for digit in range(10)]
    return tuple(name if isinstance(name, str) else name[0] for name in names)
