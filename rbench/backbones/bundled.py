"""Backbones that come with rbench."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

Name = Literal["fashion-cnn"]


def files(name: Name) -> list[Path]:
    """The files whose bytes decide the outcome."""
    return [Path(__file__).parents[1] / "assets" / f"{name}.safetensors"]


def bundled(name: Name) -> "nn.Module":
    """A small classifier that comes with rbench, trained by a recipe of the repository.

    Args:
        name: `fashion-cnn`, 117,530 parameters, takes [B, 1, 28, 28]; trained on clean Fashion-MNIST.
    """
    from rbench.backbones import weights

    return weights.load(files(name)[0], name)
