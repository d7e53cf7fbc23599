"""The purifier `cropd`."""

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


def cropd(*, weights: Path) -> "nn.Module":
    """CRoPD: an auto-encoder whose codes an attacker in the ball cannot turn (Liu, Huang, Xing 2025, arXiv 2504.10850).

    Args:
        weights: a safetensors file of `rbench fit`, trained with the objective `adversarial-contrastive`, or `bundled:NAME`.
    """
    from rbench.networks.file import read_network

    return read_network(weights_file(weights), "adversarial-contrastive")
