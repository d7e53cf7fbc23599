"""The audit of the gradient: whether it agrees with finite differences and along other paths, and what the forward pass does inside."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from rbench.engine.defended import DefendedModel
from rbench.engine.oracle import Oracle
from rbench.engine.points import SAMPLES, Few
from rbench.engine.slopes import Slopes, measure_slopes, relative
from rbench.threat.batch import Batch
from rbench.threat.losses import cross_entropy
from rbench.threat.noise import Noise
from rbench.threat.terms import GradientPath

TINY = 1e-8
"""A gradient that is not zero and has no entry of this size or above counts as tiny."""


@dataclass(frozen=True)
class GradientAudit:
    """What was measured of the gradient on a few samples.

    Attributes:
        slope_error: difference of directional derivatives, by the graph and by finite differences with the same noise, relative to the
            larger, or of the gradients in float32 and float64 where that is more; 0 if the gradient is zero.
        slope_precision: `float64`, or `float32` if the defended model does not run in float64, or gives other logits there.
        low_precision: the 16-bit type that the forward pass computes in somewhere, such as `float16`; None if in none.
        checkpointed_error: difference of the checkpointed gradient and the plain one, relative to the larger; None without stages.
        bpda_cosine: mean cosine of BPDA's gradient and the exact one; None where there is no exact one.
        tiny_gradient_share: share of samples with an exact gradient that is not zero and nowhere above 1e-8.
        autograd_in_forward: the defended model calls autograd inside its forward pass.

    A measurement is None where the graph does not reach the input, a logit is not finite or the same noise gives another answer.
    """

    slope_error: float | None
    slope_precision: str
    low_precision: str | None
    checkpointed_error: float | None
    bpda_cosine: float | None
    tiny_gradient_share: float
    autograd_in_forward: bool


def audit_gradients(
    model: DefendedModel, sample: Batch, noise: Noise, *, reproducible: bool, same_shape: bool
) -> GradientAudit:
    """Measures the gradient of a defended model on up to four samples, all but `bpda_cosine`, which is measured for every stand-in.

    The passes are not counted as the attack's.

    Args:
        model: the defended model.
        sample: of which the first four are looked at.
        noise: the root of the cell's randomness.
        reproducible: the same noise gives the same logits; differences mean nothing where it does not.
        same_shape: only batches of one shape are compared, see `Few`.
    """
    whole = Few(sample.at(slice(SAMPLES)), noise, same_shape)
    few = whole.of(_inner(whole))
    spent = replace(model.meter)
    exact = _gradient(model, few, "exact")
    with _autograd_calls() as called, _NarrowTypes() as narrow, torch.no_grad():
        model(few.x, few.draw())
    low = narrow.seen
    slopes = measure_slopes(model, few, low_precision=low is not None) if reproducible else Slopes(None, "float32")
    measured = GradientAudit(
        slope_error=slopes.error,
        slope_precision=slopes.precision,
        low_precision=low,
        checkpointed_error=relative(exact, _gradient(model, few, "checkpointed"))
        if model.staged and reproducible
        else None,
        bpda_cosine=None,
        tiny_gradient_share=float(
            ((exact != 0).flatten(1).any(1) & (exact.abs() < TINY).flatten(1).all(1)).float().mean()
        ),
        autograd_in_forward=bool(called),
    )
    vars(model.meter).update(vars(spent))
    return measured


def bpda_cosine(model: DefendedModel, sample: Batch, noise: Noise, *, same_shape: bool) -> float | None:
    """The mean cosine of BPDA's gradient and the exact one; the passes are not counted as the attack's.

    Args:
        model: the defended model, with the stand-in.
        sample: of which the first four are looked at.
        noise: the root of the cell's randomness.
        same_shape: see `Few`.
    """
    whole, spent = Few(sample.at(slice(SAMPLES)), noise, same_shape), replace(model.meter)
    few = whole.of(_inner(whole))
    cosine = _cosine(_gradient(model, few, "exact"), _gradient(model, few, "bpda"))
    vars(model.meter).update(vars(spent))
    return cosine


def _inner(few: Few) -> Tensor:
    """The images moved off 0 and 1 and made free of ties: at the kink of a clip, or of pooling equal pixels, no slope can be compared."""
    return 0.03 + 0.94 * few.x + 0.04 * (few.draw(1).uniform(*few.x.shape[1:]) - 0.5)


def _gradient(model: DefendedModel, few: Few, path: GradientPath) -> Tensor:
    """The gradient of the cross-entropy [B, C, H, W] along a path; zeros where there is none."""
    with torch.enable_grad():
        point = few.x.detach().clone().requires_grad_()
        losses = cross_entropy(Oracle(model, path, eot=1, noise=few.noise).forward(point, few.draw()), few.batch.y)
        if not losses.requires_grad:
            return torch.zeros_like(few.x)
        (gradient,) = torch.autograd.grad(losses.sum(), point, allow_unused=True)
    return torch.zeros_like(few.x) if gradient is None else gradient.nan_to_num(0.0, 0.0, 0.0)


def _cosine(exact: Tensor, other: Tensor) -> float | None:
    nonzero = (exact != 0).flatten(1).any(1)
    if not nonzero.any():
        return None
    return float(cosine_similarity(exact[nonzero].flatten(1).double(), other[nonzero].flatten(1).double()).mean())


class _NarrowTypes(TorchFunctionMode):
    """Notes the first floating type of fewer than 32 bits that an operation inside the block returns.

    A mode of functions and not of dispatch, which would import torch's compiler, for seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: str | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls the operation."""
        returned = func(*args, **(kwargs or {}))
        for value in tree_leaves(returned):
            narrow = isinstance(value, Tensor) and value.is_floating_point() and value.dtype.itemsize < 4
            if narrow and self.seen is None:
                self.seen = str(value.dtype).removeprefix("torch.")
        return returned


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
