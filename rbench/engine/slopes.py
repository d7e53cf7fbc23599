"""Whether the gradient of a defended model is the slope of its loss: in float32, as it is attacked, and in float64 where that agrees."""

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor

from rbench.engine.defended import DefendedModel
from rbench.engine.points import FLAT, Few, Loss
from rbench.threat.losses import cross_entropy, margin

DIRECTIONS = 8
"""Random directions at each sample along which the gradient is compared with finite differences."""
_DOUBLE = (1e-6, 1e-3)
"""Lengths of the finite differences in float64: factors of each pixel's standard normal draw. The nearest to the gradient counts: a model
that rounds to float32 inside has no slope over the smallest one."""
_SINGLE = (1e-3, 1e-2)
"""The same in float32, whose losses round more."""
_LOW = (1e-3, 1e-2, 3e-2)
"""The same for a model that computes in 16 bits inside."""
_AGREE = 1e-3
"""Largest difference of logits in float32 and float64, relative to the largest, with which the model in float64 speaks for that in float32:
deep networks stay far below, and what draws or rounds otherwise in another type lies above."""
_NONE = 1e-4
"""An error of this size or below is none: no other length is tried then."""
_ROUNDINGS = 16
"""Units in the last place of the largest logit by which a loss may be wrong by rounding."""


class Slopes(NamedTuple):
    """What was measured.

    Attributes:
        error: difference of directional derivatives, by the graph and by finite differences with the same noise, relative to the larger,
            or of the gradients in float32 and in float64 where that is more; 0 if the gradient is zero; None where there is none.
        precision: `float64`, or `float32` if the defended model does not run in float64, or gives other logits there.
    """

    error: float | None
    precision: str


def measure_slopes(model: DefendedModel, few: Few, *, low_precision: bool) -> Slopes:
    """Compares the gradient with finite differences.

    In float64 these are sharp, but attacks run in float32. So the copy in float64 is asked only where its logits are those of the model
    in float32, and the gradients of the two are compared as well.

    Args:
        model: the defended model, in float32.
        few: the samples, at points without ties.
        low_precision: it computes in 16 bits inside.
    """
    try:
        double = DefendedModel(copy.deepcopy(model.purifier).double(), copy.deepcopy(model.backbone).double())
        wide = few.of(few.x.double())
        if _agree(model, few, double, wide):
            single, other = _gradient(model, few, cross_entropy), _gradient(double, wide, cross_entropy)
            compared = _compared(double, wide, cross_entropy, other, _LOW if low_precision else _DOUBLE)
            if compared is not None and single is not None and other is not None:
                return Slopes(max(compared, relative(single, other)), "float64")
    except Exception:  # many a model takes float32 alone
        pass
    gradient = _gradient(model, few, margin)
    return Slopes(_compared(model, few, margin, gradient, _LOW if low_precision else _SINGLE), "float32")


def relative(a: Tensor, b: Tensor, rounding: float = 0.0) -> float:
    """The length of the difference relative to the longer of the two; the median sample counts, since one may lie on a kink.

    Args:
        a: [B, ...] vectors.
        b: the same.
        rounding: length of a difference that rounding may bring about.
    """
    a, b = a.flatten(1).double(), b.flatten(1).double()
    longer = torch.maximum(a.norm(dim=1), b.norm(dim=1))
    apart = ((a - b).norm(dim=1) - rounding).clamp(min=0)
    return float(torch.where(longer > FLAT, apart / longer.clamp(min=FLAT), 0.0).median())


def _agree(model: DefendedModel, few: Few, double: DefendedModel, wide: Few) -> bool:
    """Whether two models give the same logits at the samples and near them."""
    near = few.x[:, None] + _SINGLE[0] * few.draw(2).normal(2, *few.x.shape[1:])
    points = torch.cat([few.x[:, None], near], 1)
    single, other = few.around(model, points).double(), wide.around(double, points.double())
    return float((single - other).abs().max()) <= _AGREE * max(1.0, float(other.abs().max()))


def _gradient(model: DefendedModel, few: Few, loss: Loss) -> Tensor | None:
    with torch.enable_grad():
        point = few.x.detach().clone().requires_grad_()
        total = loss(model(point, few.draw()), few.batch.y).sum()
        if not total.requires_grad:
            return None
        (gradient,) = torch.autograd.grad(total, point, allow_unused=True)
    return gradient


def _compared(
    model: DefendedModel, few: Few, loss: Loss, gradient: Tensor | None, steps: tuple[float, ...]
) -> float | None:
    """The least error over some lengths of the finite differences: too short a one measures rounding, too long a one curvature."""
    if gradient is None:
        return None
    directions = few.draw(2).normal(DIRECTIONS, *few.x.shape[1:]).to(few.x.dtype)
    slopes = (gradient[:, None] * directions).flatten(2).sum(2)
    largest = float(few.around(model, few.x[:, None]).abs().max())
    least: float | None = None
    for step in steps:
        error = _error(model, few, loss, directions, slopes, step, largest)
        if math.isfinite(error):
            least = error if least is None else min(least, error)
        if least is not None and least <= _NONE:
            break
    return least


def _error(
    model: DefendedModel, few: Few, loss: Loss, directions: Tensor, slopes: Tensor, step: float, largest: float
) -> float:
    up, down = (few.losses(model, few.x[:, None] + way * step * directions, loss) for way in (1, -1))
    differences = (up - down) / (2 * step)
    # A gradient of zero makes no claim about the slope: rounding has one, and another flag speaks of it.
    differences = torch.where((slopes == 0).all(1, keepdim=True), 0.0, differences)
    rounding = _ROUNDINGS * torch.finfo(up.dtype).eps * largest * math.sqrt(DIRECTIONS) / step
    return relative(slopes, differences, rounding)
