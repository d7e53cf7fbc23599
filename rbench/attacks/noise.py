"""Uniform noise in the ball: the attack that any other must beat."""

from typing import Annotated, NamedTuple

from annotated_types import Interval
from torch import Tensor

from rbench.threat.attack import IterativeAttack
from rbench.threat.ball import Ball
from rbench.threat.noise import SampleNoise
from rbench.threat.query import Answer
from rbench.threat.terms import Knows, Norm

NORMS: tuple[Norm, ...] = ("Linf", "L2", "L1")
KNOWS: Knows = "noise"


class NoiseState(NamedTuple):
    """Only the point itself."""

    x: Tensor  # [B, C, H, W]


def noise(*, tries: Annotated[int, Interval(ge=1, le=100_000)] = 1) -> IterativeAttack:
    """Uniform points of the ball, clipped to [0, 1]; no gradient is asked.

    Args:
        tries: independent points; a sample is fooled if one of them fools it.
    """

    def init(x: Tensor, y: Tensor, ball: Ball, noise: SampleNoise) -> NoiseState:  # noqa: ARG001
        return NoiseState(ball.uniform(x, noise))

    def update(state: NoiseState, answer: Answer) -> NoiseState:  # noqa: ARG001
        return state

    return IterativeAttack(init, update, steps=0, norms=NORMS, restarts=tries, asks=("logits",), knows=KNOWS)
