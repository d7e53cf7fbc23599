"""What an attacker is told: the threat it works under and the oracle's answer to a query."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from rbench.threat.terms import Norm


@dataclass(frozen=True)
class Threat:
    """A norm and one radius per sample, so that a sweep over eps is one batch.

    Attributes:
        norm: `Linf`, `L2` or `L1`.
        eps: [B] float64 radii on the [0, 1] pixel scale.
    """

    norm: Norm
    eps: Tensor


class Answer(NamedTuple):
    """The answer to a query of B points.

    Attributes:
        logits: [B, classes], the mean over the EOT draws.
        loss: [B], the mean over the EOT draws.
        gradient: [B, C, H, W] of the loss, the mean over the EOT draws; None if only logits were asked.
    """

    logits: Tensor
    loss: Tensor
    gradient: Tensor | None
