"""Backbones that come with rbench."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rbench.backbones.architectures import registered
from rbench.bundled_files import bundled_weights

if TYPE_CHECKING:
    from torch import nn

_NETWORK = "fashion-cnn"
Name = Literal["fashion-cnn", "fashion-cnn-adversarial"]


def files(name: Name) -> list[Path]:
    """The files whose bytes decide the outcome."""
    return [bundled_weights(name)]


def components(**_: object) -> list[tuple[str, str, dict[str, Any]]]:
    """The network that the weights are loaded into."""
    return registered(_NETWORK)


def bundled(name: Name) -> "nn.Module":
    """A small classifier that comes with rbench (MIT license), trained by a recipe of the repository.

    Args:
        name: `fashion-cnn`, 117,530 parameters, takes [B, 1, 28, 28]; trained on clean Fashion-MNIST. `fashion-cnn-adversarial` is the
            same network trained further on PGD-7 examples, Linf 0.1: the reference for what adversarial training of the classifier gains.
    """
    from rbench.backbones import weights

    return weights.load(files(name)[0], _NETWORK)
