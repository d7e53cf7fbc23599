"""The purifier `denoising-autoencoder`."""

from pathlib import Path
from typing import TYPE_CHECKING

from rbench.bundled_files import weights_file

if TYPE_CHECKING:
    from torch import nn

STOCHASTIC = False
DIFFERENTIABLE = True


def files(*, weights: Path) -> list[Path]:
    """The file whose bytes decide what it does."""
    return [weights_file(weights)]


def denoising_autoencoder(*, weights: Path) -> "nn.Module":
    """An auto-encoder trained to remove Gaussian noise (Vincent et al. 2008); CRoPD's sibling that knows noise but no attack.

    Args:
        weights: a safetensors file of `rbench fit`, trained with the objective `denoising`, or `bundled:NAME`.
    """
    from rbench.networks.file import read_network

    return read_network(weights_file(weights), "denoising")
