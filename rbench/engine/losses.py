"""The losses an attacker maximises, per sample."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from rbench.engine.terms import Loss, Objective


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of the true label, [B]."""
    return functional.cross_entropy(logits, y, reduction="none")


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """Best other logit minus the true one, [B]; positive exactly where the sample is fooled (Carlini & Wagner 2017, f6)."""
    true = logits.gather(1, y[:, None])[:, 0]
    others = logits.scatter(1, y[:, None], -torch.inf).amax(1)
    return others - true


def dlr(logits: Tensor, y: Tensor) -> Tensor:
    """Difference of logits ratio, [B] (Croce & Hein 2020, arXiv 2003.01690, eq. 6); invariant to shift and scale of the logits."""
    top = logits.topk(3, dim=1).values
    return margin(logits, y) / (top[:, 0] - top[:, 2] + 1e-12)


LOSSES: dict[Loss, Callable[[Tensor, Tensor], Tensor]] = {"ce": cross_entropy, "dlr": dlr, "margin": margin}


def usable(loss: Objective, classes: int) -> Objective:
    """The loss itself, or `margin` where there are too few classes for it (DLR needs three)."""
    return "margin" if loss == "dlr" and classes < 3 else loss
