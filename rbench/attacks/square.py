"""Square: random search over squares, without a gradient."""

from functools import cache
from typing import Annotated, NamedTuple

import torch
from annotated_types import Gt, Interval
from torch import Tensor

from rbench.threat.attack import IterativeAttack
from rbench.threat.ball import Ball, choose, per_sample
from rbench.threat.noise import SampleNoise, step_uniforms
from rbench.threat.query import Answer
from rbench.threat.terms import Knows, Norm

NORMS: tuple[Norm, ...] = ("Linf", "L2", "L1")
KNOWS: Knows = "black-box"

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""The queries, of 10,000, after which the share of pixels that a square covers is halved (section 3.2)."""

ORDER = {"L2": 2, "L1": 1}

DECAY = {"L2": 2, "L1": 4}
"""The exponent with which a mound decays from its middle: that of eq. 2 under L2, and that of its version under L1."""


class SquareState(NamedTuple):
    """Every tensor has the batch as its first axis."""

    x: Tensor  # [B, C, H, W] the point to ask about next
    origin: Tensor  # [B, C, H, W] the clean image
    ball: Ball  # [B]
    key: Tensor  # [B] int64 where the random stream of the sample begins
    asked: Tensor  # [B] int64 queries answered so far
    best: Tensor  # [B, C, H, W] the point of the highest loss
    best_loss: Tensor  # [B]


def square(
    *,
    queries: Annotated[int, Interval(ge=2, le=1_000_000)] = 5000,
    share: Annotated[float, Gt(0), Interval(le=1)] = 0.8,
    restarts: Annotated[int, Interval(ge=1, le=1_000)] = 1,
) -> IterativeAttack:
    """Square attack (Andriushchenko et al. 2020, arXiv 1912.00049, algorithms 1 to 3); under L1 as in Croce & Hein 2021, arXiv 2103.01208.

    Starts from vertical stripes (Linf) or a tiling of bumps (L2, L1); every query changes one random square of the best point so far and
    is kept where it raises the margin. It sees logits only, so it is a check on gradients that mislead. Against a random defence the first
    lucky draw is hard to beat: average draws with `eot`.

    Args:
        queries: points asked about per restart, the first included.
        share: of the pixels, what the first squares cover (p in the paper); it shrinks with the share of the queries spent.
        restarts: independent starts.
    """

    def init(x: Tensor, y: Tensor, ball: Ball, noise: SampleNoise) -> SquareState:  # noqa: ARG001
        key = noise.integers(0, 2**63 - 1)
        begin = stripes if ball.norm == "Linf" else tiles
        start = begin(x, ball, noise)
        unknown = torch.full((len(x),), -torch.inf, device=x.device)
        return SquareState(start, x, ball, key, torch.zeros_like(key), start, unknown)

    def update(state: SquareState, answer: Answer) -> SquareState:
        better = answer.loss > state.best_loss
        state = state._replace(
            best=choose(better, state.x, state.best), best_loss=torch.where(better, answer.loss, state.best_loss)
        )
        level = torch.bucketize(state.asked * 10_000 // queries, halvings(state.x.device))
        uniforms = step_uniforms(state.key, state.asked, 5 + state.x.shape[1])
        move = flat_square if state.ball.norm == "Linf" else bumpy_square
        return state._replace(x=move(state, level, share, uniforms), asked=state.asked + 1)

    return IterativeAttack(
        init, update, steps=queries - 1, norms=NORMS, restarts=restarts, asks=("logits",), loss="margin", knows=KNOWS
    )


# --- Linf ---------------------------------------------------------------------------------------------------------


def stripes(x: Tensor, ball: Ball, noise: SampleNoise) -> Tensor:
    """A corner of the ball: every column of every channel up or down as a whole (section 3.3)."""
    up = noise.uniform(x.shape[1], 1, x.shape[3]) < 0.5
    return ball.corner(up, x)


def flat_square(state: SquareState, level: Tensor, share: float, uniforms: Tensor) -> Tensor:
    """The best point with one square put to a corner of the ball, each channel up or down as a whole (algorithm 2)."""
    side = sides(*state.x.shape[2:], share, least=1, device=level.device)[level]
    within, _ = window(uniforms[:, :2], side, state.x)
    up = uniforms[:, 5:, None, None] < 0.5
    return torch.where(within, state.ball.corner(up, state.origin), state.best)


# --- L2 and L1 ----------------------------------------------------------------------------------------------------


def tiles(x: Tensor, ball: Ball, noise: SampleNoise) -> Tensor:
    """The image tiled by 5 x 5 bumps, each channel of each with a sign of its own (section 3.4)."""
    _, channels, height, width = x.shape
    side = max(min(height, width) // 5, 1)
    row, column = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    draws = noise.uniform(channels + 1, -(-height // side), -(-width // side)) < 0.5
    draws = draws[:, :, row // side][:, :, :, column // side]
    one = bump(side, ball.norm).to(x.device)[row % side][:, column % side]
    turned = bump(side, ball.norm).T.to(x.device)[row % side][:, column % side]
    delta = torch.where(draws[:, -1:], one, turned) * torch.where(draws[:, :-1], 1.0, -1.0)
    return _onto(delta, x, ball)


def bumpy_square(state: SquareState, level: Tensor, share: float, uniforms: Tensor) -> Tensor:
    """The best point with the norm of one square moved into another, into a bump on what was there (algorithm 3)."""
    origin, norm, channels = state.origin.double(), state.ball.norm, state.x.shape[1]
    delta = state.best.double() - origin
    height, width = delta.shape[2:]
    side = sides(*state.x.shape[2:], share, least=3, device=level.device)[level]
    into, (top, left) = window(uniforms[:, :2], side, state.x)
    out_of, _ = window(uniforms[:, 2:4], side, state.x)

    rows = (torch.arange(height, device=delta.device) - top[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width, device=delta.device) - left[:, None]).clamp(0, width - 1)
    bumps = bump_table(height, width, share, norm, delta.device)
    turned = (uniforms[:, 4] < 0.5).long()
    fresh = bumps[turned[:, None, None], level[:, None, None], rows[:, :, None], columns[:, None, :]][:, None]
    fresh = fresh * torch.where(uniforms[:, 5:, None, None] < 0.5, 1.0, -1.0)
    fresh = into * (fresh + delta / (length(delta * into, norm) + 1e-12))
    fresh = fresh / (length(fresh, norm) + 1e-12)

    eps = per_sample(state.ball.radii, delta)
    whole = per_sample(length(delta.flatten(1), norm, dim=1), delta)
    both = length(delta * (into | out_of), norm)
    if norm == "L2":
        budget = ((eps**2 - whole**2).clamp(min=0) / channels + both**2).sqrt()
    else:
        budget = (eps - whole).clamp(min=0) + both * channels
    return _onto(torch.where(into, fresh * budget, delta * ~out_of), state.origin, state.ball)


def _onto(delta: Tensor, origin: Tensor, ball: Ball) -> Tensor:
    """The image with a perturbation in the ball; under L2 it is scaled to length eps first, under L1 it is longer than that already."""
    if ball.norm == "L2":
        delta = delta * per_sample(ball.radii[:, None] / (length(delta.flatten(1), "L2", dim=1) + 1e-12), delta)
    return ball.project(origin.double() + delta, origin)


# --- squares ------------------------------------------------------------------------------------------------------


@cache
def halvings(device: torch.device) -> Tensor:
    """`HALVINGS` on a device, where it is copied once."""
    return torch.tensor(HALVINGS, device=device)


@cache
def sides(height: int, width: int, share: float, *, least: int, device: torch.device) -> Tensor:
    """Side of the square at every level of the schedule, int64; odd where bumps need a middle (`least` above 1)."""
    by_level = []
    for level in range(len(HALVINGS) + 1):
        side = max(round((share / 2**level * height * width) ** 0.5), least)
        side += least > 1 and side % 2 == 0
        by_level.append(min(side, height, width))
    return torch.tensor(by_level, device=device)


def window(uniforms: Tensor, side: Tensor, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """A square anywhere in the image: bool [B, 1, H, W], and its first row and column.

    Args:
        uniforms: [B, 2] draws in [0, 1).
        side: [B] int64 its side.
        x: [B, C, H, W] for the size of the image.
    """
    height, width = x.shape[2:]
    extents, places = extents_and_places(height, width, x.device)
    corner = (uniforms * (extents - side[:, None])).long()
    place = places - corner[:, :, None]
    within = (place >= 0) & (place < side[:, None, None])
    return (within[:, 0, :height, None] & within[:, 1, None, :width])[:, None], (corner[:, 0], corner[:, 1])


@cache
def extents_and_places(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """One more than height and width, int64 [2], and the numbers of their places, int64 [the longer one]."""
    return torch.tensor([height + 1, width + 1], device=device), torch.arange(max(height, width), device=device)


def length(delta: Tensor, norm: Norm, dim: int | tuple[int, ...] | None = (2, 3)) -> Tensor:
    """The norm over some dimensions, by default the pixels of every channel; they are kept with size 1."""
    lengths: Tensor = torch.linalg.vector_norm(delta, ord=ORDER[norm], dim=dim, keepdim=True)
    return lengths


def bump(side: int, norm: Norm) -> Tensor:
    """Two mounds of opposite sign, one above the other, of length 1 (section 3.4), float64 [side, side]."""
    upper, lower = mound(side // 2, side, norm), mound(side - side // 2, side, norm)
    both = torch.cat([upper, -lower])
    return both / length(both, norm, dim=None)


def mound(height: int, width: int, norm: Norm) -> Tensor:
    """Highest in the middle, falling ring by ring (eq. 2), of length 1, float64 [height, width]."""
    rings = max(height, width) // 2 + 1
    falls = torch.arange(1, rings + 1, dtype=torch.float64, device="cpu") ** -DECAY[norm]
    level = falls.flip(0).cumsum(0).flip(0)
    row, column = torch.arange(height, device="cpu"), torch.arange(width, device="cpu")
    ring = torch.maximum((row - height // 2).abs()[:, None], (column - width // 2).abs()[None])
    made = level[ring]
    return made / length(made, norm, dim=None).clamp(min=1e-12)


@cache
def bump_table(height: int, width: int, share: float, norm: Norm, device: torch.device) -> Tensor:
    """The bump of every level in the top left corner of an empty image, as it is and turned by a right angle; [2, levels, H, W]."""
    table = torch.zeros(2, len(HALVINGS) + 1, height, width, dtype=torch.float64, device="cpu")
    for level, side in enumerate(sides(height, width, share, least=3, device=table.device).tolist()):
        one = bump(side, norm)
        table[0, level, :side, :side], table[1, level, :side, :side] = one, one.T
    return table.to(device)
