"""Projected gradient descent, with or without momentum."""

from collections.abc import Callable
from typing import Annotated, NamedTuple

import torch
from annotated_types import Gt, Interval
from torch import Tensor

from rbench.threat.attack import IterativeAttack
from rbench.threat.ball import Ball, per_sample
from rbench.threat.noise import SampleNoise
from rbench.threat.query import Answer
from rbench.threat.terms import Loss, Norm

NORMS: tuple[Norm, ...] = ("Linf", "L2")


class PgdState(NamedTuple):
    """Every tensor has the batch as its first axis."""

    x: Tensor  # [B, C, H, W] the point to ask about next
    origin: Tensor  # [B, C, H, W] the clean image
    ball: Ball  # [B] a radius each: a sweep is one batch
    step_size: Tensor  # [B] float32
    gathered: Tensor  # [B, C, H, W] the gradients met so far, for momentum; zeros [B] without it


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """The direction of length 1 that raises the loss most; zero where the gradient is zero."""
    if norm == "Linf":
        return gradient.sign()
    # The square of a small gradient is zero in float32, so its largest entry is made 1 first.
    largest = per_sample(gradient.flatten(1).abs().amax(1), gradient)
    scaled = gradient / torch.where(largest > 0, largest, 1.0)
    return scaled / per_sample(scaled.flatten(1).norm(dim=1), gradient).clamp(min=1.0)


def step(state: PgdState, answer: Answer) -> PgdState:
    """Moves by the step size along the steepest direction and comes back to the ball."""
    assert answer.gradient is not None
    return _moved(state, answer.gradient)


def step_with(momentum: float) -> Callable[[PgdState, Answer], PgdState]:
    """The step along the gathered gradients: `momentum` times those before plus this one over its L1 norm."""

    def update(state: PgdState, answer: Answer) -> PgdState:
        assert answer.gradient is not None
        gradient = answer.gradient
        size = per_sample(gradient.abs().flatten(1).sum(1), gradient)
        gathered = momentum * state.gathered + gradient / torch.where(size > 0, size, 1.0)
        return _moved(state._replace(gathered=gathered), gathered)

    return update


def _moved(state: PgdState, along: Tensor) -> PgdState:
    direction = steepest(along, state.ball.norm)
    moved = torch.addcmul(state.x, per_sample(state.step_size, state.x), direction)
    return state._replace(x=state.ball.project(moved, state.origin))


def begin(start: Tensor, origin: Tensor, ball: Ball, step_size: Tensor, *, momentum: bool = False) -> PgdState:
    """The state before the first step.

    Args:
        start: [B, C, H, W] the first point to ask about.
        origin: [B, C, H, W] the clean images.
        ball: with a radius for each of them.
        step_size: [B].
        momentum: gradients are going to be gathered.
    """
    gathered = torch.zeros_like(origin) if momentum else torch.zeros_like(origin[:, 0, 0, 0])
    return PgdState(start, origin, ball, step_size.float(), gathered)


def pgd(
    *,
    steps: Annotated[int, Interval(ge=1, le=100_000)] = 40,
    step_size: Annotated[float, Gt(0)] | None = None,
    restarts: Annotated[int, Interval(ge=1, le=1_000)] = 1,
    momentum: Annotated[float, Interval(ge=0, le=1)] = 0.0,
    loss: Loss = "ce",
) -> IterativeAttack:
    """Projected gradient descent (Madry et al. 2018, arXiv 1706.06083, eq. 1).

    Starts uniformly in the ball and steps along the sign (Linf) or the direction (L2) of the oracle's gradient; with momentum, of the
    gradients gathered over the steps, each over its L1 norm (MI-FGSM, Dong et al. 2018, arXiv 1710.06081, eq. 6 and 7).

    Args:
        steps: gradient steps per restart.
        step_size: on the [0, 1] pixel scale; 2.5 * eps / steps if not given.
        restarts: independent random starts.
        momentum: factor by which gathered gradients count less at each step, 0 to 1 (the paper's is 1); 0 is plain descent.
        loss: the loss to maximise.
    """

    def init(x: Tensor, y: Tensor, ball: Ball, noise: SampleNoise) -> PgdState:  # noqa: ARG001
        start = ball.uniform(x, noise)
        size = 2.5 * ball.radii / steps if step_size is None else torch.full_like(ball.radii, step_size)
        return begin(start, x, ball, size, momentum=momentum > 0)

    update = step_with(momentum) if momentum else step
    return IterativeAttack(init, update, steps=steps, norms=NORMS, restarts=restarts, loss=loss)
