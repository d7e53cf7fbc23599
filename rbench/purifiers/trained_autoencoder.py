"""The purifiers `autoencoder`, `denoising-autoencoder` and `cropd`: networks of a file, by the objective they were trained with."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench.bundled_files import weights_file
from rbench.first_look import looked_at

if TYPE_CHECKING:
    from torch import nn

STOCHASTIC = False
DIFFERENTIABLE = True


def files(*, weights: Path) -> list[Path]:
    """The file whose bytes decide what it does."""
    return [looked_at(weights_file(weights))]


def components(*, weights: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """The network that the weights are of."""
    from rbench.networks.file import named_network

    return named_network(weights)


def autoencoder(*, weights: Path) -> "nn.Module":
    """A plain auto-encoder, trained to reconstruct: CRoPD's sibling at lambda = 0.

    Args:
        weights: a safetensors file of `rbench fit`, trained with the objective `reconstruction`, or `bundled:NAME`.
    """
    return _trained_with("reconstruction", weights)


def denoising_autoencoder(*, weights: Path) -> "nn.Module":
    """An auto-encoder trained to remove Gaussian noise (Vincent et al. 2008); CRoPD's sibling that knows noise but no attack.

    Args:
        weights: a safetensors file of `rbench fit`, trained with the objective `denoising`, or `bundled:NAME`.
    """
    return _trained_with("denoising", weights)


def cropd(*, weights: Path) -> "nn.Module":
    """CRoPD: an auto-encoder whose codes an attacker in the ball cannot turn (Liu, Huang, Xing 2025, arXiv 2504.10850).

    Args:
        weights: a safetensors file of `rbench fit`, trained with the objective `adversarial-contrastive`, or `bundled:NAME`.
    """
    return _trained_with("adversarial-contrastive", weights)


def _trained_with(objective: str, weights: Path) -> "nn.Module":
    from rbench.networks.file import read_network

    return read_network(weights, objective)
