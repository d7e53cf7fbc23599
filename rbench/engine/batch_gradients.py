"""The exact gradient on a set of audited images, in a small batch and in one as large as those of the attack."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from rbench.engine.audited_images import Audited
from rbench.engine.defended import DefendedModel
from rbench.engine.oracle import Oracle
from rbench.engine.slopes import relative
from rbench.threat.batch import Batch
from rbench.threat.losses import cross_entropy
from rbench.threat.noise import Noise
from rbench.threat.terms import GradientPath


@dataclass(frozen=True)
class BatchGradients:
    """What was seen of the gradients of a set, from the worse of the two batches; the gradients themselves are not kept.

    Attributes:
        reaches: the graph reaches the input.
        zero: share of samples whose gradient is zero.
        broken: share of samples with a NaN or infinite entry.
        useless: share of samples with either.
        error: difference of an image's gradients in the two batches, relative to the longer, for the median image; None where there is one
            batch alone, or one without a gradient.
    """

    reaches: bool
    zero: float
    broken: float
    useless: float
    error: float | None


def batch_gradients(model: DefendedModel, audited: Audited, noise: Noise) -> BatchGradients:
    """Looks at the gradients of a small batch and of a large one, this as an attacker takes it: stage by stage where there are stages.

    Where there is no memory for the graph of a large batch, an attack along this path will say so; others go around it.

    Args:
        model: the defended model.
        audited: the images.
        noise: the root of the cell's randomness.
    """
    few = _gradient(model, audited.few, noise, "exact")
    seen = _seen(few)
    if not audited.larger:
        return seen
    with suppress(torch.OutOfMemoryError):
        many = _gradient(model, audited.whole, noise, "checkpointed" if model.staged else "exact")
        seen = _worse(seen, _seen(many), _apart(few, many))
    return seen


def _worse(one: BatchGradients, other: BatchGradients, error: float | None) -> BatchGradients:
    return BatchGradients(
        reaches=one.reaches and other.reaches,
        zero=max(one.zero, other.zero),
        broken=max(one.broken, other.broken),
        useless=max(one.useless, other.useless),
        error=error,
    )


def _seen(gradient: Tensor | None) -> BatchGradients:
    if gradient is None:
        return BatchGradients(reaches=False, zero=1.0, broken=0.0, useless=1.0, error=None)
    zero, broken, useless = (_share(gradient, which) for which in (_zero, _broken, _useless))
    return BatchGradients(reaches=True, zero=zero, broken=broken, useless=useless, error=None)


def _apart(few: Tensor | None, many: Tensor | None) -> float | None:
    if few is None or many is None:
        return None
    error = relative(few, many[: len(few)])
    return error if math.isfinite(error) else None


def _gradient(model: DefendedModel, shown: Batch, noise: Noise, path: GradientPath) -> Tensor | None:
    """The gradient of the cross-entropy as rows [B, pixels]; None where the graph does not reach the input."""
    point = shown.x.detach().clone().requires_grad_()
    oracle = Oracle(model, path, eot=1, noise=noise)
    with torch.enable_grad():
        losses = cross_entropy(oracle.forward(point, noise.of("audit", shown.ids, shown.device)), shown.y)
    if not losses.requires_grad:
        return None
    (gradient,) = torch.autograd.grad(losses.sum(), point, allow_unused=True)
    return None if gradient is None else gradient.flatten(1)


def _share(gradient: Tensor, which: Callable[[Tensor], Tensor]) -> float:
    return float(which(gradient).float().mean())


def _zero(gradient: Tensor) -> Tensor:
    return (gradient == 0).all(1)


def _broken(gradient: Tensor) -> Tensor:
    return ~torch.isfinite(gradient).all(1)


def _useless(gradient: Tensor) -> Tensor:
    return _zero(gradient) | _broken(gradient)
