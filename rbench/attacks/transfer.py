"""Transfer: crafted on another model, applied here. Imports no torch before use, so that a plan can hash the source's weights."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Gt, Interval

from rbench.threat.terms import Knows, Loss, Norm

if TYPE_CHECKING:
    from rbench.threat.attack import IterativeAttack

NORMS: tuple[Norm, ...] = ("Linf", "L2")
KNOWS: Knows = "transfer"


def components(*, source: str, **_: object) -> list[tuple[str, str, dict[str, Any]]]:
    """The backbone that is crafted on, with its weights."""
    return [("backbone", source, {})]


def transfer(
    *,
    source: str,
    steps: Annotated[int, Interval(ge=1, le=100_000)] = 40,
    step_size: Annotated[float, Gt(0)] | None = None,
    restarts: Annotated[int, Interval(ge=1, le=1_000)] = 1,
    loss: Loss = "ce",
) -> "IterativeAttack":
    """PGD on another backbone; its adversarial examples are judged on the defended model (Papernot et al. 2016, arXiv 1605.07277).

    With the defended model's own backbone as source this is the `blind` gradient path.

    Args:
        source: registry name of the backbone to craft on.
        steps: gradient steps per restart.
        step_size: on the [0, 1] pixel scale; 2.5 * eps / steps if not given.
        restarts: independent random starts.
        loss: the loss to maximise.
    """
    from rbench.attacks.pgd import pgd

    return replace(pgd(steps=steps, step_size=step_size, restarts=restarts, loss=loss), source=source, knows=KNOWS)
