"""The attack on the output of a purifier."""

from dataclasses import replace
from typing import Annotated

from annotated_types import Gt, Interval

from rbench.attacks.pgd import pgd
from rbench.threat.attack import IterativeAttack
from rbench.threat.terms import GradientChoice, Norm

NORMS: tuple[Norm, ...] = ("Linf", "L2")
GRADIENTS: tuple[GradientChoice, ...] = ("auto", "exact", "checkpointed", "bpda")


def decoder(
    *,
    steps: Annotated[int, Interval(ge=1, le=100_000)] = 50,
    step_size: Annotated[float, Gt(0)] | None = None,
    restarts: Annotated[int, Interval(ge=1, le=1_000)] = 1,
) -> IterativeAttack:
    """PGD on the displacement of the purified image, ||purify(x) - purify(clean)||^2; neither label nor backbone is looked at.

    Args:
        steps: gradient steps per restart.
        step_size: on the [0, 1] pixel scale; 2.5 * eps / steps if not given.
        restarts: independent random starts.
    """
    attack = pgd(steps=steps, step_size=step_size, restarts=restarts)
    return replace(attack, loss="decoder", gradients=GRADIENTS)
