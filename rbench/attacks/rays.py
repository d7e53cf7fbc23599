"""RayS: the nearest wrong class along rays, from the winning class alone."""

from typing import Annotated, NamedTuple

import torch
from annotated_types import Interval
from torch import Tensor

from rbench.threat.attack import IterativeAttack
from rbench.threat.ball import Ball, choose, per_sample
from rbench.threat.noise import SampleNoise
from rbench.threat.query import Answer
from rbench.threat.terms import Knows, Norm

NORMS: tuple[Norm, ...] = ("Linf",)
KNOWS: Knows = "black-box"

TOLERANCE = 1e-3
"""Width at which the search along a ray ends (section 3.2)."""

LOOK, SEARCH, REACH = 0, 1, 2
"""The query of a sample. LOOK: is a new ray fooled at the best radius so far? SEARCH: halve the interval that holds its smallest fooled
radius. REACH: is its point on the ball fooled?"""


class RaysState(NamedTuple):
    """Every tensor has the batch as its first axis."""

    x: Tensor  # [B, C, H, W] the point to ask about next
    origin: Tensor  # [B, C, H, W] the clean image
    y: Tensor  # [B] the true label
    ball: Ball  # [B]
    asks: Tensor  # [B] int64 one of LOOK, SEARCH, REACH
    at: Tensor  # [B] float64 the radius of `x`
    ray: Tensor  # [B, C, H, W] signs of the direction of `x`
    near: Tensor  # [B] float64 largest radius along `ray` known to be right
    far: Tensor  # [B] float64 smallest radius along `ray` known to be wrong
    best_ray: Tensor  # [B, C, H, W]
    radius: Tensor  # [B] float64 at which `best_ray` is wrong; 1, the whole pixel range, as long as none is
    level: Tensor  # [B] int64 the image is cut into 2^level blocks; -1 before the first ray itself
    block: Tensor  # [B] int64 the block whose signs are flipped next


def rays(*, queries: Annotated[int, Interval(ge=2, le=1_000_000)] = 10_000) -> IterativeAttack:
    """RayS (Chen & Gu 2020, arXiv 2006.12792, algorithms 2 and 3), for hard labels: outputs that give the winning class alone.

    Looks for the corner of the cube in whose direction a wrong class is nearest: flips the signs of one block of pixels after the
    other, blocks halving in size, and keeps what comes nearer. It draws nothing and looks at no loss. Points beyond the ball are asked
    about and never proposed; of every ray that is nearer than those before it the point on the ball is.

    Args:
        queries: points asked about.
    """

    def init(x: Tensor, y: Tensor, ball: Ball, noise: SampleNoise) -> RaysState:  # noqa: ARG001
        ray, none = torch.ones_like(x), torch.zeros_like(ball.radii)
        ways = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        return RaysState(
            x=_along(ray, x, ball.radii),
            origin=x,
            y=y,
            ball=ball,
            asks=ways + REACH,
            at=ball.radii,
            ray=ray,
            near=none,
            far=none + 1,
            best_ray=ray,
            radius=none + 1,
            level=ways - 1,
            block=ways,
        )

    return IterativeAttack(
        init,
        update,
        steps=queries - 1,
        norms=NORMS,
        asks=("logits",),
        loss="margin",
        knows=KNOWS,
        inside=lambda state: state.at <= state.ball.radii,
    )


def update(state: RaysState, answer: Answer) -> RaysState:
    """Takes in one answer and says what to ask next."""
    fooled = answer.logits.argmax(1) != state.y
    looking, searching = state.asks == LOOK, state.asks == SEARCH
    far = torch.where((looking | searching) & fooled, state.at, state.far)
    near = torch.where(looking, 0.0, torch.where(searching & ~fooled, state.at, state.near))
    on_it = searching | (looking & fooled)
    done = on_it & (far - near <= TOLERANCE)
    state = state._replace(
        near=near,
        far=far,
        best_ray=choose(done, state.ray, state.best_ray),
        radius=torch.where(done, far, state.radius),
    )
    turned, level, block = _next_ray(state)
    ray = choose(on_it, state.ray, turned)
    at = torch.where(done, state.ball.radii, torch.where(on_it, (near + far) / 2, state.radius))
    return state._replace(
        x=_along(ray, state.origin, at),
        asks=torch.where(done, REACH, torch.where(on_it, SEARCH, LOOK)),
        at=at,
        ray=ray,
        level=torch.where(on_it, state.level, level),
        block=torch.where(on_it, state.block, block),
    )


def _next_ray(state: RaysState) -> tuple[Tensor, Tensor, Tensor]:
    """The best ray with one block flipped, and level and number of the block after it; the last level, of single pixels, is repeated."""
    pixels = state.x[0].numel()
    whole = state.level < 0
    size = -(-pixels // 2 ** state.level.clamp(min=0))
    place = torch.arange(pixels, device=size.device) // size[:, None]
    turned = (place == state.block[:, None]) & ~whole[:, None]
    ray = torch.where(turned.view_as(state.best_ray), -state.best_ray, state.best_ray)
    last = whole | ((state.block + 1) * size >= pixels)
    top = (pixels - 1).bit_length()
    return ray, torch.where(last, (state.level + 1).clamp(max=top), state.level), torch.where(last, 0, state.block + 1)


def _along(ray: Tensor, origin: Tensor, at: Tensor) -> Tensor:
    """The points at these radii, clipped to [0, 1], no farther from the image than that by any rounding."""
    return Ball("Linf", at).project(origin.double() + per_sample(at, ray) * ray, origin)
