"""FAB: the nearest wrong class, step by step over the linearised classifier."""

from typing import Annotated, NamedTuple

import torch
from annotated_types import Interval
from torch import Tensor

from rbench.threat.attack import Asks, IterativeAttack
from rbench.threat.ball import Ball, choose, distance, per_sample
from rbench.threat.hyperplane import onto_hyperplane
from rbench.threat.noise import SampleNoise
from rbench.threat.query import Answer
from rbench.threat.terms import Norm, Objective

NORMS: tuple[Norm, ...] = ("Linf", "L2", "L1")

BIAS = 0.1
"""Largest weight of the original image in a step (alpha_max)."""
BEYOND = 1.05
"""How far a step goes: a little beyond the hyperplane (eta)."""
BACK = 0.9
"""Where on the way from the original image to a fooled point the next step starts (beta)."""


class FabState(NamedTuple):
    """Every tensor has the batch as its first axis."""

    x: Tensor  # [B, C, H, W] the point to ask about next
    origin: Tensor  # [B, C, H, W] the clean image
    y: Tensor  # [B] the true label
    ball: Ball  # [B]


def fab(
    *,
    steps: Annotated[int, Interval(ge=1, le=100_000)] = 100,
    restarts: Annotated[int, Interval(ge=1, le=1_000)] = 1,
) -> IterativeAttack:
    """FAB (Croce & Hein 2020, arXiv 1907.02044, algorithm 1).

    As `fab_t`, towards the class whose border is nearest at every step; so every step asks for the gradient of every wrong class.

    Args:
        steps: of each start.
        restarts: starts; the first is the clean image, the others are random.
    """
    return _search("nearest", "margin", steps, restarts, targets=0)


def fab_t(
    *,
    steps: Annotated[int, Interval(ge=1, le=100_000)] = 100,
    restarts: Annotated[int, Interval(ge=1, le=1_000)] = 1,
    targets: Annotated[int, Interval(ge=1, le=1_000)] = 9,
) -> IterativeAttack:
    """Targeted FAB (Croce & Hein 2020, arXiv 1907.02044, algorithm 1; targets as in Croce & Hein 2020, arXiv 2003.01690).

    Looks for the nearest point that is fooled, in the ball or beyond. A step goes over the hyperplane at which the linearised classifier
    would choose the target, from the point it is at and, with a small weight, from the clean image; from a point that is fooled it goes
    back towards the clean image. Every step asks twice: for the gradient where it starts, for the class where it ends. Points beyond the
    ball are never proposed.

    Args:
        steps: of each start.
        restarts: starts towards every target; the first is the clean image, the others are random.
        targets: wrong classes, the likeliest for the clean image first; as many as there are.
    """
    return _search("gradient", "margin-targeted", steps, restarts, targets)


def _search(asks: Asks, loss: Objective, steps: int, restarts: int, targets: int) -> IterativeAttack:
    return IterativeAttack(
        lambda x, y, ball, noise: FabState(_near(x, ball, noise), x, y, ball),
        update,
        steps=2 * steps - 1,
        norms=NORMS,
        restarts=restarts,
        targets=targets,
        asks=(asks, "logits"),
        loss=loss,
        inside=lambda state: state.ball.contains(state.x, state.origin),
        first=lambda x, y, ball, noise: FabState(x, x, y, ball),
    )


def _near(x: Tensor, ball: Ball, noise: SampleNoise) -> Tensor:
    """A random image at half the radius (section 2.4)."""
    way = 2 * noise.uniform(*x.shape[1:]) - 1
    length = per_sample(distance(way, torch.zeros_like(way), ball.norm).float(), x)
    return (x + way / length.clamp(min=1e-12) * per_sample(ball.radii.float(), x) / 2).clamp(0, 1)


def update(state: FabState, answer: Answer) -> FabState:
    """The end of a step over the hyperplane, or where the next one starts."""
    if answer.gradient is None:
        fooled = answer.logits.argmax(1) != state.y
        back = (1 - BACK) * state.origin + BACK * state.x
        return state._replace(x=choose(fooled, back, state.x))
    return state._replace(x=_over(state, answer.gradient, answer.loss))


def _over(state: FabState, gradient: Tensor, margin: Tensor) -> Tensor:
    """The end of a step over the hyperplane (eq. 9): margin + gradient @ (z - x) = 0."""
    x, origin, normal = (part.flatten(1) for part in (state.x, state.origin, gradient))
    norm = state.ball.norm
    from_here = onto_hyperplane(x, normal, -margin, norm)
    from_origin = onto_hyperplane(origin, normal, -margin + (normal * (x - origin)).sum(1), norm)
    here, there = (distance(change, torch.zeros_like(change), norm) for change in (from_here, from_origin))
    weight = (here / (here + there).clamp(min=1e-30)).clamp(0, BIAS).float()[:, None]
    end = (x + BEYOND * from_here) * (1 - weight) + (origin + BEYOND * from_origin) * weight
    return end.clamp(0, 1).view_as(state.x)
