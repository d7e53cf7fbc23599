"""The purifier `autoencoder`."""

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


def autoencoder(*, weights: Path) -> "nn.Module":
    """A plain auto-encoder, trained to reconstruct: CRoPD's sibling at lambda = 0.

    Args:
        weights: a safetensors file of `rbench fit`, trained with the objective `reconstruction`, or `bundled:NAME`.
    """
    from rbench.networks.file import read_network

    return read_network(weights_file(weights), "reconstruction")
