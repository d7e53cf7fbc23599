"""Auto-PGD under L1: sparse steps whose number of pixels adapts to the best point."""

from typing import NamedTuple

import torch
from torch import Tensor

from rbench.threat.attack import Pair
from rbench.threat.ball import Ball, choose, per_sample
from rbench.threat.noise import SampleNoise
from rbench.threat.query import Answer

FIRST_SHARE = 0.2
"""Share of the pixels that the first steps move."""

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


class SparseState(NamedTuple):
    """Every tensor has the batch as its first axis."""

    x: Tensor  # [B, C, H, W] the point to ask about next
    origin: Tensor  # [B, C, H, W] the clean image
    ball: Ball  # [B]
    step_size: Tensor  # [B]
    pixels: Tensor  # [B] float64 how many pixels a step moves
    asked: Tensor  # [B] int64 queries answered so far
    best: Tensor  # [B, C, H, W] the point of the highest loss
    best_loss: Tensor  # [B]
    best_gradient: Tensor  # [B, C, H, W]
    checkpoint_pixels: Tensor  # [B] float64 pixels that the best point had moved at the last checkpoint


def sparse(steps: int) -> Pair:
    """Auto-PGD under L1 (Croce & Hein 2021, arXiv 2103.01208, section 3), with a single radius.

    A step moves the pixels of the steepest slope, all by the same length. At each checkpoint their number follows that of the best point;
    where this has shrunk, the step size is reset and the best point taken up again, else the step size shrinks. Fractions of a pixel are
    dropped, and pixels that only rounding has moved are not counted: else a step never comes down to the one steepest pixel.

    Args:
        steps: gradient steps per restart.
    """
    every = max(int(CHECK_SHARE * steps), 1)

    def init(x: Tensor, y: Tensor, ball: Ball, noise: SampleNoise) -> SparseState:  # noqa: ARG001
        start = ball.project(x.double() + noise.normal(*x.shape[1:]), x)
        whole = torch.full_like(ball.radii, x[0].numel())
        return SparseState(
            x=start,
            origin=x,
            ball=ball,
            step_size=ball.radii,
            pixels=FIRST_SHARE * whole,
            asked=torch.zeros(len(x), dtype=torch.int64, device=x.device),
            best=start,
            best_loss=torch.full((len(x),), -torch.inf, device=x.device),
            best_gradient=torch.zeros_like(x),
            checkpoint_pixels=whole,
        )

    def update(state: SparseState, answer: Answer) -> SparseState:
        assert answer.gradient is not None
        eps = state.ball.radii
        better = answer.loss > state.best_loss
        best = choose(better, state.x, state.best)
        best_gradient = choose(better, answer.gradient, state.best_gradient)

        due = (state.asked > 0) & (state.asked % every == 0)
        far = (best.double() - state.origin.double()).abs() > DUST * per_sample(eps, best)
        moved = far.flatten(1).sum(1).double()
        shrunk = due & (moved < STILL * state.checkpoint_pixels)
        shorter = torch.maximum(state.step_size / SHRINK, LEAST_STEP * eps)
        step_size = torch.where(shrunk, eps, torch.where(due, shorter, state.step_size))
        pixels = torch.where(due, moved / SHRINK, state.pixels)
        here = choose(shrunk, best, state.x)
        step = per_sample(step_size, here) * steepest_pixels(choose(shrunk, best_gradient, answer.gradient), pixels)
        return state._replace(
            x=state.ball.project(here.double() + step, state.origin),
            step_size=step_size,
            pixels=pixels,
            asked=state.asked + 1,
            best=best,
            best_loss=torch.where(better, answer.loss, state.best_loss),
            best_gradient=best_gradient,
            checkpoint_pixels=torch.where(due, moved, state.checkpoint_pixels),
        )

    return Pair(init, update)


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
