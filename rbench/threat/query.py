"""The oracle's answer to a query of an attack."""

from typing import NamedTuple

from torch import Tensor


class Answer(NamedTuple):
    """The answer to a query of B points.

    Attributes:
        logits: [B, classes], the mean over the EOT draws.
        loss: [B], the mean over the EOT draws.
        gradient: [B, C, H, W] of the loss, the mean over the EOT draws; None if only logits were asked.
        draws: the logits [B, classes] of each EOT draw.
    """

    logits: Tensor
    loss: Tensor
    gradient: Tensor | None
    draws: tuple[Tensor, ...] = ()
