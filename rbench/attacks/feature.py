"""The attack on the features of the backbone."""

from dataclasses import replace
from typing import Annotated

from annotated_types import Gt, Interval

from rbench.attacks.pgd import pgd
from rbench.threat.attack import IterativeAttack
from rbench.threat.terms import Norm

NORMS: tuple[Norm, ...] = ("Linf", "L2")


def feature(
    *,
    steps: Annotated[int, Interval(ge=1, le=100_000)] = 50,
    step_size: Annotated[float, Gt(0)] | None = None,
    restarts: Annotated[int, Interval(ge=1, le=1_000)] = 1,
) -> IterativeAttack:
    """PGD on the displacement of the backbone's features of the purified image; the label is not looked at.

    The features are what the last linear layer of the backbone gets (its logits if it has none); the loss is their squared distance from
    those of the clean image, over their squared length.

    Args:
        steps: gradient steps per restart.
        step_size: on the [0, 1] pixel scale; 2.5 * eps / steps if not given.
        restarts: independent random starts.
    """
    return replace(pgd(steps=steps, step_size=step_size, restarts=restarts), loss="feature")
