"""The attack on the encoder of a purifier."""

from dataclasses import replace
from typing import Annotated, Literal

from annotated_types import Gt, Interval

from rbench.attacks.pgd import pgd
from rbench.threat.attack import IterativeAttack
from rbench.threat.terms import Displacement, GradientChoice, Norm

NORMS: tuple[Norm, ...] = ("Linf", "L2")
GRADIENTS: tuple[GradientChoice, ...] = ("auto", "exact")

PARTS: dict[str, Displacement] = {"angle": "latent-angle", "norm": "latent-norm", "both": "latent"}


def latent(
    *,
    part: Literal["angle", "norm", "both"] = "both",
    steps: Annotated[int, Interval(ge=1, le=100_000)] = 50,
    step_size: Annotated[float, Gt(0)] | None = None,
    restarts: Annotated[int, Interval(ge=1, le=1_000)] = 1,
) -> IterativeAttack:
    """PGD on the displacement of the purifier's latent code; the label is not looked at.

    For purifiers with `encode(x) -> [B, D]`. A contrastive encoder is trained to keep the angle to the clean code, and its decoder also
    sees the length; each can be attacked alone. The gradient is that of `encode` itself, whatever follows it.

    Args:
        part: `angle` is 1 - cosine; `norm` the squared logarithm of the ratio of lengths; `both` the squared distance over the clean
            code's squared length.
        steps: gradient steps per restart.
        step_size: on the [0, 1] pixel scale; 2.5 * eps / steps if not given.
        restarts: independent random starts.
    """
    attack = pgd(steps=steps, step_size=step_size, restarts=restarts)
    return replace(attack, loss=PARTS[part], gradients=GRADIENTS)
