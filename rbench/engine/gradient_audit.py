"""The audit of the gradient: whether it agrees with finite differences and along other paths, and how the loss varies near an image."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from rbench.engine.defended import DefendedModel
from rbench.engine.oracle import Oracle
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.losses import cross_entropy, margin
from rbench.threat.noise import Noise, SampleNoise
from rbench.threat.terms import GradientPath

SAMPLES = 4
"""Samples that are looked at: few, since each takes hundreds of passes."""
DIRECTIONS = 8
"""Random directions at each sample along which the gradient is compared with finite differences."""
NEIGHBOURS = 100
"""Uniform points of the ball around each sample at which the loss is evaluated."""
TINY = 1e-8
"""A gradient that is not zero and has no entry of this size or above counts as tiny."""
_STEPS = {torch.float64: 1e-6, torch.float32: 1e-3}
"""Length of the finite differences: a factor of each pixel's standard normal draw, larger in float32, whose losses round more."""
_FLAT = 1e-9
"""Gradients and margins of this length or below count as zero and are not divided by."""
_BLOCK = 10
"""Points around each sample that are evaluated in one batch."""


@dataclass(frozen=True)
class GradientAudit:
    """What was measured of the gradient on a few samples.

    Attributes:
        slope_error: difference of directional derivatives, by the graph and by finite differences with the same noise, relative to the
            larger; 0 if both are flat.
        slope_precision: `float64`, or `float32` if the defended model works in nothing else.
        checkpointed_error: difference of the checkpointed gradient and the plain one, relative to the larger; None without stages.
        bpda_cosine: mean cosine of BPDA's gradient and the exact one; None where there is no exact one.
        tiny_gradient_share: share of samples with an exact gradient that is not zero and nowhere above 1e-8.
        loss_change: mean change of the margin over 100 uniform points of the ball, the noise being the same, relative to the mean margin.
        autograd_in_forward: the defended model calls autograd inside its forward pass.

    A measurement is None where the graph does not reach the input, a logit is not finite or the same noise gives another answer.
    """

    slope_error: float | None
    slope_precision: str
    checkpointed_error: float | None
    bpda_cosine: float | None
    tiny_gradient_share: float
    loss_change: float | None
    autograd_in_forward: bool


@dataclass(frozen=True)
class _Few:
    """The samples that are looked at, and the noise."""

    batch: Batch
    noise: Noise

    @property
    def x(self) -> Tensor:
        return self.batch.x

    def draw(self, number: int = 0) -> SampleNoise:
        """Noise of the samples; the first draw is the one that every model here is shown."""
        return self.noise.of("audit", self.batch.ids, self.batch.device, draw=number)

    def of(self, x: Tensor) -> "_Few":
        """Other images of the same samples."""
        return _Few(self.batch.of(x), self.noise)


def audit_gradients(
    model: DefendedModel,
    sample: Batch,
    noise: Noise,
    ball: Ball,
    *,
    reproducible: bool,
) -> GradientAudit:
    """Measures the gradient of a defended model on up to four samples; the passes are not counted as the attack's.

    Args:
        model: the defended model.
        sample: of which the first four are looked at.
        noise: the root of the cell's randomness.
        ball: with one radius.
        reproducible: the same noise gives the same logits; differences mean nothing where it does not.
    """
    whole = _Few(sample.at(slice(SAMPLES)), noise)
    few = whole.of(_inner(whole))
    spent = replace(model.meter)
    exact = _gradient(model, few, "exact")
    with _autograd_calls() as called, torch.no_grad():
        model(few.x, few.draw())
    measured = GradientAudit(
        *(_slope_error(model, few) if reproducible else (None, "float32")),
        checkpointed_error=_relative(exact, _gradient(model, few, "checkpointed"))
        if model.staged and reproducible
        else None,
        bpda_cosine=_cosine(exact, _gradient(model, few, "bpda")),
        tiny_gradient_share=float(
            ((exact != 0).flatten(1).any(1) & (exact.abs() < TINY).flatten(1).all(1)).float().mean()
        ),
        loss_change=_loss_change(model, whole, ball) if reproducible else None,
        autograd_in_forward=bool(called),
    )
    vars(model.meter).update(vars(spent))
    return measured


def _inner(few: _Few) -> Tensor:
    """The images moved off 0 and 1 and made free of ties: at the kink of a clip, or of pooling equal pixels, no slope can be compared."""
    return 0.03 + 0.94 * few.x + 0.04 * (few.draw(1).uniform(*few.x.shape[1:]) - 0.5)


def _gradient(model: DefendedModel, few: _Few, path: GradientPath) -> Tensor:
    """The gradient of the cross-entropy [B, C, H, W] along a path; zeros where there is none."""
    with torch.enable_grad():
        point = few.x.detach().clone().requires_grad_()
        losses = cross_entropy(Oracle(model, path, eot=1, noise=few.noise).forward(point, few.draw()), few.batch.y)
        if not losses.requires_grad:
            return torch.zeros_like(few.x)
        (gradient,) = torch.autograd.grad(losses.sum(), point, allow_unused=True)
    return torch.zeros_like(few.x) if gradient is None else gradient.nan_to_num(0.0, 0.0, 0.0)


def _slope_error(model: DefendedModel, few: _Few) -> tuple[float | None, str]:
    """The error of the gradient against finite differences, and the type it was measured in: float64 where the model runs in it."""
    try:
        double = DefendedModel(copy.deepcopy(model.purifier).double(), copy.deepcopy(model.backbone).double())
        return _compared(double, few.of(few.x.double())), "float64"
    except Exception:
        return _compared(model, few), "float32"


def _compared(model: DefendedModel, few: _Few) -> float | None:
    directions = few.draw(2).normal(DIRECTIONS, *few.x.shape[1:]).to(few.x.dtype)
    with torch.enable_grad():
        point = few.x.detach().clone().requires_grad_()
        total = cross_entropy(model(point, few.draw()), few.batch.y).sum()
        (gradient,) = torch.autograd.grad(total, point, allow_unused=True) if total.requires_grad else (None,)
    if gradient is None:
        return None
    step = _STEPS[few.x.dtype] * directions
    slopes = (gradient[:, None] * directions).flatten(2).sum(2)
    up, down = (_around(model, few, few.x[:, None] + way * step, cross_entropy) for way in (1, -1))
    error = _relative(slopes, (up - down) / (2 * _STEPS[few.x.dtype]))
    return error if math.isfinite(error) else None


def _around(model: DefendedModel, few: _Few, points: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The loss at many points [B, K, C, H, W] around each sample, all under the sample's one draw, [B, K]."""
    losses = []
    with torch.no_grad():
        for block in torch.split(points, _BLOCK, dim=1):
            count = block.shape[1]
            noise = few.noise.of("audit", few.batch.ids.repeat_interleave(count), few.batch.device)
            logits = model(block.flatten(0, 1), noise)
            losses.append(loss(logits, few.batch.y.repeat_interleave(count)).view(-1, count))
    return torch.cat(losses, 1)


def _relative(a: Tensor, b: Tensor) -> float:
    """The length of the difference relative to the longer of the two; the median sample counts, since one may lie on a kink."""
    a, b = a.flatten(1).double(), b.flatten(1).double()
    longer = torch.maximum(a.norm(dim=1), b.norm(dim=1))
    errors = torch.where(longer > _FLAT, (a - b).norm(dim=1) / longer.clamp(min=_FLAT), 0.0)
    return float(errors.median())


def _cosine(exact: Tensor, other: Tensor) -> float | None:
    nonzero = (exact != 0).flatten(1).any(1)
    if not nonzero.any():
        return None
    return float(cosine_similarity(exact[nonzero].flatten(1).double(), other[nonzero].flatten(1).double()).mean())


def _loss_change(model: DefendedModel, few: _Few, ball: Ball) -> float | None:
    ids, calls = few.batch.ids, torch.arange(NEIGHBOURS, device=few.batch.device)
    noise = few.noise.of(
        "audit", ids.repeat_interleave(NEIGHBOURS), few.batch.device, draw=3, calls=calls.repeat(len(ids))
    )
    points = ball.uniform(few.x.repeat_interleave(NEIGHBOURS, 0), noise).view(-1, NEIGHBOURS, *few.x.shape[1:])
    here = _around(model, few, few.x[:, None], margin).double()
    change = float((_around(model, few, points, margin) - here).abs().mean() / here.abs().mean().clamp(min=_FLAT))
    return change if math.isfinite(change) else None


@contextmanager
def _autograd_calls() -> Iterator[list[str]]:
    """Names of the autograd functions called inside the block."""
    called: list[str] = []
    module = torch.autograd
    places = [(module, "grad"), (module, "backward"), (torch.Tensor, "backward")]
    # Code that has imported `grad` by name does not look it up in the module; all of them call this private function.
    if hasattr(module, "_engine_run_backward"):
        places.append((module, "_engine_run_backward"))
    kept = [(place, name, getattr(place, name)) for place, name in places]

    def recorded(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **keywords: object) -> object:
            called.append(name)
            return function(*args, **keywords)

        return call

    try:
        for place, name, function in kept:
            setattr(place, name, recorded(name, function))
        yield called
    finally:
        for place, name, function in kept:
            setattr(place, name, function)
