"""How torchvision keeps each of its labelled data sets: which files a split is, and where its pictures and labels stand."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

Pictures = Iterable[tuple[str | Path, int]]
"""Files with their labels."""

_TWO = MappingProxyType({"train": "train", "test": "test"})
_THREE = MappingProxyType({"train": "train", "val": "val", "test": "test"})
_BY_VAL = MappingProxyType({"train": "train", "val": "val", "test": "val"})
_WHOLE = MappingProxyType({"all": "all"})
_IMAGENETTE = {"full": "imagenette2", "320px": "imagenette2-320", "160px": "imagenette2-160"}
_AIRCRAFT = {"variant": "variants", "family": "families", "manufacturer": "manufacturers"}
_TRAFFIC_SIGNS = 43


@dataclass(frozen=True)
class Kept:
    """A data set of torchvision.

    Attributes:
        parts: what a suite may call a split -> what torchvision calls it. Where the labelled photos that one is to evaluate on are
            called `val`, `test` is those.
        needs: split (of torchvision) and variant -> the files and folders that it is read from, below the root.
        options: split and variant -> keyword arguments of torchvision's class.
        pictures: what torchvision's object has read -> the files with their labels; None where it holds arrays.
        variants: names of the forms that it comes in, the usual one first.
        classes: names, where torchvision has none.
        fetched: whether torchvision can download it.
    """

    parts: Mapping[str, str]
    needs: Callable[[str, str], list[str]]
    options: Callable[[str, str], dict[str, Any]]
    pictures: Callable[[Any], Pictures] | None = None
    variants: tuple[str, ...] = ()
    classes: tuple[str, ...] = field(default=())
    fetched: bool = True


def _train(part: str, variant: str) -> dict[str, Any]:  # noqa: ARG001
    return {"train": part == "train"}


def _split(part: str, variant: str) -> dict[str, Any]:  # noqa: ARG001
    return {"split": part}


def _nothing(part: str, variant: str) -> dict[str, Any]:  # noqa: ARG001
    return {}


def _cifar10(part: str, variant: str) -> list[str]:  # noqa: ARG001
    batches = ["test_batch"] if part == "test" else [f"data_batch_{i}" for i in range(1, 6)]
    return [f"cifar-10-batches-py/{batch}" for batch in [*batches, "batches.meta"]]


def _idx(folder: str) -> Kept:
    def needs(part: str, variant: str) -> list[str]:  # noqa: ARG001
        prefix = "t10k" if part == "test" else "train"
        return [f"{folder}/raw/{prefix}-{what}-ubyte" for what in ("images-idx3", "labels-idx1")]

    return Kept(_TWO, needs, _train)


def _places(part: str, variant: str) -> list[str]:
    size = "256" if variant == "small" else "large"
    folder = f"{part}_{size}" if part == "val" else f"data_{size}_standard"
    return ["categories_places365.txt", f"places365_{part.replace('-', '_')}.txt", folder]


def _listed(samples: Any) -> Pictures:
    return zip(samples._image_files, samples._labels, strict=True)


def _sorted(samples: Any) -> Pictures:
    """Of SUN397, which torchvision has in the order of the file system."""
    return sorted(_listed(samples))


def _caltech101(samples: Any) -> Pictures:
    folder = Path(samples.root) / "101_ObjectCategories"
    for place, label in zip(samples.index, samples.y, strict=True):
        yield folder / samples.categories[label] / f"image_{place:04d}.jpg", label


def _caltech256(samples: Any) -> Pictures:
    folder = Path(samples.root) / "256_ObjectCategories"
    for place, label in zip(samples.index, samples.y, strict=True):
        yield folder / samples.categories[label] / f"{label + 1:03d}_{place:04d}.jpg", label


KEPT = MappingProxyType({
    "CIFAR10": Kept(_TWO, _cifar10, _train),
    "CIFAR100": Kept(_TWO, lambda part, _: [f"cifar-100-python/{part}", "cifar-100-python/meta"], _train),
    "SVHN": Kept({**_TWO, "extra": "extra"}, lambda part, _: [f"{part}_32x32.mat"], _split),
    "STL10": Kept(
        _TWO, lambda part, _: [f"stl10_binary/{one}" for one in (f"{part}_X.bin", f"{part}_y.bin", "class_names.txt")], _split
    ),
    "MNIST": _idx("MNIST"),
    "FashionMNIST": _idx("FashionMNIST"),
    "KMNIST": _idx("KMNIST"),
    "EMNIST": Kept(
        _TWO,
        lambda part, variant: [
            f"EMNIST/raw/emnist-{variant}-{part}-{what}-ubyte" for what in ("images-idx3", "labels-idx1")
        ],
        lambda part, variant: {"split": variant, "train": part == "train"},
        variants=("balanced", "letters", "digits", "mnist", "byclass", "bymerge"),
    ),
    "Imagenette": Kept(
        _BY_VAL,
        lambda part, variant: [f"{_IMAGENETTE[variant]}/{part}"],
        lambda part, variant: {"split": part, "size": variant},
        lambda samples: samples._samples,
        variants=("320px", "full", "160px"),
    ),
    "ImageNet": Kept(_BY_VAL, lambda part, _: [part], _nothing, fetched=False),
    "Places365": Kept(
        {"train": "train-standard", "val": "val", "test": "val"},
        _places,
        lambda part, variant: {"split": part, "small": variant == "small"},
        lambda samples: samples.imgs,
        variants=("small", "large"),
    ),
    "Food101": Kept(_TWO, lambda part, _: [f"food-101/meta/{part}.json", "food-101/images"], _split, _listed),
    "Flowers102": Kept(
        _THREE, lambda *_: [f"flowers-102/{one}" for one in ("imagelabels.mat", "setid.mat", "jpg")], _split, _listed
    ),
    "OxfordIIITPet": Kept(
        {"trainval": "trainval", "test": "test"},
        lambda part, _: [f"oxford-iiit-pet/annotations/{part}.txt", "oxford-iiit-pet/images"],
        _split,
        lambda samples: zip(samples._images, samples._labels, strict=True),
    ),
    "EuroSAT": Kept(_WHOLE, lambda *_: ["eurosat/2750"], _nothing, lambda samples: samples.samples),
    "GTSRB": Kept(
        _TWO,
        lambda part, _: (
            ["gtsrb/GTSRB/Training"]
            if part == "train"
            else ["gtsrb/GT-final_test.csv", "gtsrb/GTSRB/Final_Test/Images"]
        ),
        _split,
        lambda samples: samples._samples,
        classes=tuple(map(str, range(_TRAFFIC_SIGNS))),
    ),
    "DTD": Kept(
        _THREE,
        lambda part, variant: [f"dtd/dtd/labels/{part}{variant}.txt", "dtd/dtd/images"],
        lambda part, variant: {"split": part, "partition": int(variant)},
        _listed,
        variants=tuple(map(str, range(1, 11))),
    ),
    "Caltech101": Kept(_WHOLE, lambda *_: ["caltech101/101_ObjectCategories"], _nothing, _caltech101),
    "Caltech256": Kept(_WHOLE, lambda *_: ["caltech256/256_ObjectCategories"], _nothing, _caltech256),
    "Country211": Kept(
        {"train": "train", "val": "valid", "test": "test"},
        lambda part, _: [f"country211/{part}"],
        _split,
        lambda samples: samples.samples,
    ),
    "FGVCAircraft": Kept(
        {**_THREE, "trainval": "trainval"},
        lambda part, variant: [
            f"fgvc-aircraft-2013b/data/{one}"
            for one in (f"{_AIRCRAFT[variant]}.txt", f"images_{variant}_{part}.txt", "images")
        ],
        lambda part, variant: {"split": part, "annotation_level": variant},
        _listed,
        variants=tuple(_AIRCRAFT),
    ),
    "SUN397": Kept(_WHOLE, lambda *_: ["SUN397"], _nothing, _sorted),
    "RenderedSST2": Kept(
        _THREE,
        lambda part, _: [f"rendered-sst2/{'valid' if part == 'val' else part}"],
        _split,
        lambda samples: samples._samples,
    ),
})  # fmt: skip
"""By the name of torchvision's class."""
