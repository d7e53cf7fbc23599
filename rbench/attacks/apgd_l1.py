"""Auto-PGD under L1: sparse steps whose number of pixels adapts to the best point."""

import math
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from rbench.threat.attack import Pair
from rbench.threat.ball import Ball, choose, per_sample
from rbench.threat.noise import SampleNoise
from rbench.threat.query import Answer

SHRINK = 1.5
"""Divisor, at a checkpoint, of the pixels that the best point has moved, and of the step size where their number has not shrunk."""

STILL = 0.95
"""Ratio of the pixels that the best point has moved, to those at the last checkpoint, from which on their number has not shrunk."""

LEAST_STEP = 0.1
"""Smallest step in radii."""

CHECK_SHARE = 0.04
"""Share of the steps between checkpoints."""

DUST = 1e-5
"""In radii: a pixel that is this close to its clean value has not moved, since only rounding keeps it from being there."""


Balls = tuple[tuple[float, float], ...]
"""Balls one after the other: the radius of each in multiples of the last one's, 1, and its share of the steps."""

SHRINKING: Balls = ((3.0, 0.3), (2.0, 0.3), (1.0, 0.4))


class SparseState(NamedTuple):
    """Every tensor has the batch as its first axis."""

    x: Tensor  # [B, C, H, W] the point to ask about next
    origin: Tensor  # [B, C, H, W] the clean image
    ball: Ball  # [B]
    step_size: Tensor  # [B]
    pixels: Tensor  # [B] float64 how many pixels a step moves
    asked: Tensor  # [B] int64 queries answered so far
    best: Tensor  # [B, C, H, W] the point of the highest loss in this ball
    best_loss: Tensor  # [B]
    best_gradient: Tensor  # [B, C, H, W]
    checkpoint_pixels: Tensor  # [B] float64 pixels that the best point had moved at the last checkpoint


class Schedule(NamedTuple):
    """Of each query, from 0 to the last."""

    factor: Tensor  # [steps + 1] float64 of the radius
    checkpoint: Tensor  # [steps + 1] bool: the number of pixels is looked at
    last: Tensor  # [steps + 1] bool: the next query is in a smaller ball


@cache
def schedule(steps: int, balls: Balls, device: torch.device) -> Schedule:
    """The balls one after the other (Croce & Hein 2021, section 3.3), and checkpoints within each; one ball for few steps."""
    lengths = [math.ceil(share * steps) for _, share in balls[:-1]]
    stages = [(factor, length) for (factor, _), length in zip(balls, [*lengths, steps - sum(lengths)], strict=True)]
    if stages[-1][1] < 1:
        stages = [(1.0, steps)]
    stages[-1] = (stages[-1][0], stages[-1][1] + 1)  # the last query, after the last step
    factor, checkpoint, last = [], [], []
    for radius, length in stages:
        every = max(int(CHECK_SHARE * length), 1)
        factor += [radius] * length
        checkpoint += [step > 0 and step % every == 0 for step in range(length)]
        last += [step == length - 1 for step in range(length)]
    last[-1] = False
    tables = (torch.tensor(values, device=device) for values in (factor, checkpoint, last))
    return Schedule(*tables)._replace(factor=torch.tensor(factor, dtype=torch.float64, device=device))


def sparse(steps: int, balls: Balls = SHRINKING) -> Pair:
    """Auto-PGD under L1 (Croce & Hein 2021, arXiv 2103.01208, section 3), in balls of three, two and one radius.

    A step moves the pixels of the steepest slope, all by the same length. At each checkpoint their number follows that of the best point;
    where this has shrunk, the step size is reset and the best point taken up again, else the step size shrinks. Fractions of a pixel are
    dropped, and pixels that only rounding has moved are not counted: else a step never comes down to the one steepest pixel. A smaller
    ball begins at its point nearest to the best one of the ball before. What is proposed is in the last ball.

    Args:
        steps: gradient steps per restart.
        balls: the last one is that of the threat.
    """

    def init(x: Tensor, y: Tensor, ball: Ball, noise: SampleNoise) -> SparseState:  # noqa: ARG001
        radius = ball.radii * schedule(steps, balls, x.device).factor[0]
        start = Ball("L1", radius).project(x.double() + noise.normal(*x.shape[1:]), x)
        beginning = _moved(start, x, ball)
        return SparseState(
            x=start,
            origin=x,
            ball=ball,
            step_size=radius,
            pixels=beginning / SHRINK,
            asked=torch.zeros(len(x), dtype=torch.int64, device=x.device),
            best=start,
            best_loss=torch.full((len(x),), -torch.inf, device=x.device),
            best_gradient=torch.zeros_like(x),
            checkpoint_pixels=beginning,
        )

    def update(state: SparseState, answer: Answer) -> SparseState:
        assert answer.gradient is not None
        plan = schedule(steps, balls, state.x.device)
        eps, due, last = (
            state.ball.radii * plan.factor[state.asked],
            plan.checkpoint[state.asked],
            plan.last[state.asked],
        )
        better = answer.loss > state.best_loss
        best = choose(better, state.x, state.best)
        best_gradient = choose(better, answer.gradient, state.best_gradient)

        moved = _moved(best, state.origin, state.ball)
        shrunk = due & (moved < STILL * state.checkpoint_pixels)
        shorter = torch.maximum(state.step_size / SHRINK, LEAST_STEP * eps)
        step_size = torch.where(shrunk, eps, torch.where(due, shorter, state.step_size))
        pixels = torch.where(due, moved / SHRINK, state.pixels)
        here = choose(shrunk, best, state.x)
        step = per_sample(step_size, here) * steepest_pixels(choose(shrunk, best_gradient, answer.gradient), pixels)
        smaller = state.ball.radii * plan.factor[(state.asked + 1).clamp(max=steps)]
        x = Ball("L1", smaller).project(choose(last, best.double(), here.double() + step), state.origin)
        beginning = _moved(x, state.origin, state.ball)
        return state._replace(
            x=x,
            step_size=torch.where(last, smaller, step_size),
            pixels=torch.where(last, beginning / SHRINK, pixels),
            asked=state.asked + 1,
            best=choose(last, x, best),
            best_loss=torch.where(last, -torch.inf, torch.where(better, answer.loss, state.best_loss)),
            best_gradient=best_gradient,
            checkpoint_pixels=torch.where(last, beginning, torch.where(due, moved, state.checkpoint_pixels)),
        )

    def inside(state: SparseState) -> Tensor:
        return schedule(steps, balls, state.x.device).factor[state.asked] == 1

    return Pair(init, update, inside)


def _moved(points: Tensor, origin: Tensor, ball: Ball) -> Tensor:
    """How many pixels of each point are not as in the clean image, float64 [B]."""
    far = (points.double() - origin.double()).abs() > DUST * per_sample(ball.radii, points)
    return far.flatten(1).sum(1).double()


def steepest_pixels(gradient: Tensor, pixels: Tensor) -> Tensor:
    """A step of L1 length 1 on the pixels [B] of the largest slopes, the same on each of them; float64.

    At least one pixel, and all whose slope is that of the last; those of slope zero do not move.
    """
    slopes = gradient.abs().flatten(1)
    count = slopes.shape[1]
    place = count - pixels.long().clamp(min=1, max=count)
    least = slopes.sort(dim=1).values.gather(1, place[:, None])
    step = gradient.double().sign() * (slopes >= least).view_as(gradient)
    return step / per_sample(step.abs().flatten(1).sum(1).clamp(min=1), gradient)
