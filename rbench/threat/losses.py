"""The losses an attacker maximises, per sample."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from rbench.threat.terms import Loss, Objective, Targeted


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of the true label, [B]."""
    return functional.cross_entropy(logits, y, reduction="none")


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """Best other logit minus the true one, [B]; positive exactly where the sample is fooled (Carlini & Wagner 2017, f6)."""
    others = logits.scatter(1, y[:, None], -torch.inf).amax(1)
    return others - _at(logits, y)


def dlr(logits: Tensor, y: Tensor) -> Tensor:
    """Difference of logits ratio, [B] (Croce & Hein 2020, arXiv 2003.01690, eq. 6); invariant to shift and scale of the logits."""
    top = logits.topk(3, dim=1).values
    return margin(logits, y) / (top[:, 0] - top[:, 2] + 1e-12)


def margin_targeted(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """The target's logit minus the true one, [B]."""
    return _at(logits, target) - _at(logits, y)


def dlr_targeted(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """Targeted difference of logits ratio, [B] (Croce & Hein 2020, arXiv 2003.01690, eq. 7)."""
    top = logits.topk(4, dim=1).values
    return margin_targeted(logits, y, target) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + 1e-12)


def _at(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.gather(1, classes[:, None])[:, 0]


LOSSES: dict[Loss, Callable[[Tensor, Tensor], Tensor]] = {"ce": cross_entropy, "dlr": dlr, "margin": margin}
TARGETED: dict[Targeted, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "dlr-targeted": dlr_targeted,
    "margin-targeted": margin_targeted,
}

INSTEAD: dict[Objective, tuple[int, Objective]] = {"dlr": (3, "margin"), "dlr-targeted": (4, "margin-targeted")}
"""The classes that a loss needs, and what replaces it where there are fewer (docs/judging.md, rule 1.10)."""


def usable(loss: Objective, classes: int) -> Objective:
    """The loss itself, or what replaces it where there are too few classes for it."""
    least, other = INSTEAD.get(loss, (0, loss))
    return loss if classes >= least else other
