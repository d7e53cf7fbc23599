"""Auto-PGD: projected gradient descent that sets its own step size."""

from functools import cache
from itertools import pairwise
from typing import Annotated, Any, NamedTuple

import torch
from annotated_types import Interval
from torch import Tensor

from rbench.attacks.apgd_l1 import sparse
from rbench.attacks.pgd import steepest
from rbench.threat.attack import IterativeAttack, Pair
from rbench.threat.ball import Ball, choose, per_sample
from rbench.threat.noise import SampleNoise
from rbench.threat.query import Answer
from rbench.threat.terms import Loss, Norm, Targeted

NORMS: tuple[Norm, ...] = ("Linf", "L2", "L1")

MOMENTUM = 0.75
"""Weight of the new step against the last move (section 3.1: alpha)."""

LEAST_SUCCESS = 0.75
"""Share of steps that must raise the loss for the step size to stay (section 3.2: rho)."""


class ApgdState(NamedTuple):
    """Every tensor has the batch as its first axis."""

    x: Tensor  # [B, C, H, W] the point to ask about next
    origin: Tensor  # [B, C, H, W] the clean image
    ball: Ball  # [B]
    step_size: Tensor  # [B]
    previous: Tensor  # [B, C, H, W] the point before `x`
    asked: Tensor  # [B] int64 queries answered so far
    loss: Tensor  # [B] of the last answer
    rises: Tensor  # [B] int64 steps since the last checkpoint that raised the loss
    best: Tensor  # [B, C, H, W] the point of the highest loss
    best_loss: Tensor  # [B]
    best_gradient: Tensor  # [B, C, H, W]
    checkpoint_loss: Tensor  # [B] `best_loss` at the last checkpoint
    halved: Tensor  # [B] bool: the step size was halved at the last checkpoint


def apgd(
    *,
    steps: Annotated[int, Interval(ge=1, le=100_000)] = 100,
    restarts: Annotated[int, Interval(ge=1, le=1_000)] = 1,
    loss: Loss | Targeted = "ce",
    targets: Annotated[int, Interval(ge=1, le=9)] = 9,
) -> IterativeAttack:
    """Auto-PGD (Croce & Hein 2020, arXiv 2003.01690, algorithm 1); under L1 its sparse version (Croce & Hein 2021, arXiv 2103.01208).

    Starts at random with steps of 2 eps; at each checkpoint the step is halved, and the best point taken up again, where too few steps
    raised the loss or the best loss has not risen.

    Args:
        steps: gradient steps per restart.
        restarts: independent random starts; for a targeted loss, toward every target.
        loss: the loss to maximise. Below three classes `margin` replaces `dlr`, below four `margin-targeted` replaces `dlr-targeted`.
        targets: wrong classes that a targeted loss aims at one after the other, the likeliest first; as many as there are.
    """
    pairs: dict[Norm, Pair] = {"Linf": dense(steps), "L2": dense(steps), "L1": sparse(steps)}

    def init(x: Tensor, y: Tensor, ball: Ball, noise: SampleNoise) -> Any:
        return pairs[ball.norm].init(x, y, ball, noise)

    def update(state: Any, answer: Answer) -> Any:
        return pairs[state.ball.norm].update(state, answer)

    def inside(state: Any) -> Tensor:
        return pairs[state.ball.norm].inside(state)

    aims = targets if loss.endswith("-targeted") else 0
    return IterativeAttack(
        init, update, steps=steps, norms=NORMS, restarts=restarts, loss=loss, targets=aims, inside=inside
    )


def checkpoints(steps: int) -> tuple[int, ...]:
    """The steps after which the step size is looked at (section 3.2): at 22 %, then after gaps that shrink by 3 points, down to 6."""
    shares, gap = [0], 22
    while shares[-1] + gap <= 100:
        shares.append(shares[-1] + gap)
        gap = max(gap - 3, 6)
    return tuple(sorted({-(-share * steps // 100) for share in shares}))


def dense(steps: int) -> Pair:
    """Auto-PGD under Linf and L2."""
    gaps_here = torch.zeros(
        steps + 1, dtype=torch.int64, device="cpu"
    )  # at each checkpoint the steps since the one before
    for before, here in pairwise(checkpoints(steps)):
        gaps_here[here] = here - before
    gaps_on = cache(gaps_here.to)  # copied once to a device

    def init(x: Tensor, y: Tensor, ball: Ball, noise: SampleNoise) -> ApgdState:  # noqa: ARG001
        start = ball.uniform(x, noise)
        none = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        unknown = torch.full((len(x),), -torch.inf, device=x.device)
        return ApgdState(
            x=start,
            origin=x,
            ball=ball,
            step_size=2 * ball.radii.float(),
            previous=start,
            asked=none,
            loss=unknown,
            rises=none,
            best=start,
            best_loss=unknown,
            best_gradient=torch.zeros_like(x),
            checkpoint_loss=unknown,
            halved=none.bool(),
        )

    def update(state: ApgdState, answer: Answer) -> ApgdState:
        assert answer.gradient is not None
        first, gap = state.asked == 0, gaps_on(state.x.device)[state.asked]
        better = answer.loss > state.best_loss
        best = choose(better, state.x, state.best)
        best_loss = torch.where(better, answer.loss, state.best_loss)
        best_gradient = choose(better, answer.gradient, state.best_gradient)
        rises = state.rises + (~first & (answer.loss > state.loss)).long()
        checkpoint_loss = torch.where(first, answer.loss, state.checkpoint_loss)

        due = gap > 0
        stuck = ~state.halved & (best_loss <= checkpoint_loss)
        halve = due & ((rises < LEAST_SUCCESS * gap) | stuck)
        step_size = torch.where(halve, state.step_size / 2, state.step_size)
        here = choose(halve, best, state.x)
        gradient = choose(halve, best_gradient, answer.gradient)
        return state._replace(
            x=_moved(state, here, gradient, step_size),
            step_size=step_size,
            previous=here,
            asked=state.asked + 1,
            loss=answer.loss,
            rises=torch.where(due, 0, rises),
            best=best,
            best_loss=best_loss,
            best_gradient=best_gradient,
            checkpoint_loss=torch.where(due, best_loss, checkpoint_loss),
            halved=torch.where(due, halve, state.halved),
        )

    return Pair(init, update)


def _moved(state: ApgdState, here: Tensor, gradient: Tensor, step_size: Tensor) -> Tensor:
    """A projected step from `here` with momentum of the last move (eq. 2); the first step has no momentum."""
    stepped = torch.addcmul(here, per_sample(step_size, here), steepest(gradient, state.ball.norm))
    stepped = state.ball.project(stepped, state.origin)
    weight = per_sample(torch.where(state.asked == 0, 1.0, MOMENTUM), here)
    drawn = here + weight * (stepped - here) + (1 - weight) * (here - state.previous)
    return state.ball.project(drawn, state.origin)
