"""What an attack may spend, by the names that attacks give it: refused where it is none, asked about where it is very much.

rbench's own attacks bound their parameters themselves. Code of third parties often does not, and then an attack of 0 steps hands every
image back and a defence looks robust.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

from rbench.errors import InputError
from rbench.registry import Bound, registry
from rbench.signature import Mistake, kind_of
from rbench.suite.cell import Cell

MAX_EFFORT = 1_000_000
ASK_ABOVE = 10_000_000_000
"""Passes of an image through a defended model; a plan with more is run only when its user says that it is meant."""
MAX_IMAGES = 1_000_000
"""More than data sets of images have, where it is not known how many this one has."""
ROUNDS = frozenset(
    {"steps", "queries", "n_queries", "tries", "n_iter", "nb_iter", "max_iter", "iterations", "max_iterations"}
)
"""Parameters that count passes one after the other."""
TIMES = frozenset({"restarts", "n_restarts", "eot_iter", "eot_samples", "nb_sample", "popsize"})
"""Parameters by which the passes are multiplied."""
JUDGED = 3
"""Images of a sample that are judged: the clean one, the attacked one and that in 8 bits."""


def refused_effort(attack: Bound, norm: str, given: Iterable[str]) -> tuple[str, Mistake] | None:
    """The first parameter that is no number of passes or no length of a step, and what is wrong with it; None if all are fine.

    Args:
        attack: with its arguments, not imported.
        norm: of the ball.
        given: names of the parameters that the user gave.
    """
    # What many call the length of a step; without steps it may be anything.
    strides = {"step_size", "alpha"} if "steps" in attack.arguments else {"step_size"}
    for name in given:
        value = attack.arguments.get(name)
        if name in ROUNDS | TIMES and value is not None and not _is_count(value):
            remedy = f"Write {int(value)}." if isinstance(value, float) and value.is_integer() and value >= 1 else None
            return name, Mistake(f"expected int from 1 to {MAX_EFFORT}.", found=kind_of(value), remedy=remedy)
        if name in strides and _is_number(value) and (value <= 0 or (norm == "Linf" and value > 1)):
            remedy = f"Write {value:g}/255." if 1 < value <= 255 else "Write 2/255."
            limits = "outside (0, 1]; pixels are in [0, 1]" if norm == "Linf" else "no length of a step; it is above 0"
            return name, Mistake(f"{value:g} is {limits}.", found=f"{value:g}", remedy=remedy)
    return None


def passes_of(cell: Cell, samples: int) -> int:
    """Passes of an image through the defended model that the numbers of a cell ask for, roughly; what an attack does besides is not in it.

    Args:
        cell: the cell.
        samples: how many it has.
    """
    params = cell.attack.params
    rounds = sum(value for name, value in params.items() if name in ROUNDS and _is_count(value)) or 1
    for name, value in params.items():
        rounds *= value if name in TIMES and _is_count(value) else 1
    again = 1 + 8 * min(cell.convergence, samples) / samples  # twice the steps three times, no bound, and fewer steps
    random = registry("purifier").get(cell.purifier.given_name).facts().get("stochastic", True)
    draws = cell.draws + cell.select_draws if random else 1
    return int(cell.eot * rounds * samples * again) + JUDGED * draws * samples


def very_much(cells: Iterable[Cell], size: Callable[[Cell], int | None]) -> str | None:
    """What a plan needs if that is above what is run without asking, in words; None if it is not.

    Args:
        cells: of the plan.
        size: of the data set of a cell that takes all samples; None where nobody can tell.
    """
    counted: dict[str, int] = {}
    known = True
    for cell in cells:
        samples = cell.slice.samples
        if samples is None and passes_of(cell, MAX_IMAGES) > ASK_ABOVE:
            samples = size(cell)
            known = known and samples is not None
        counted[cell.title] = counted.get(cell.title, 0) + passes_of(cell, samples or 1)
    total = sum(counted.values())
    if known and total <= ASK_ABOVE:
        return None
    most = max(counted, key=counted.__getitem__)
    each = "" if known else " for each sample"
    return f"{total:,} passes of an image through a model{each}, most of them in {most}"


def require_meant(cells: Iterable[Cell], size: Callable[[Cell], int | None], *, yes: bool) -> None:
    """Refuses to begin what would take very long, unless its user has said that it is meant.

    Args:
        cells: what would be run.
        size: see `very_much`.
        yes: the user has said so.

    Raises:
        InputError: with the passes that are predicted.
    """
    if not yes and (much := very_much(cells, size)) is not None:
        found = " ".join(much.split()[:2])
        problem = f"{much}, where more than {ASK_ABOVE:,} are asked about."
        raise InputError(
            problem, place="--yes", found=found, remedy="Lower steps, restarts, eot, draws or samples, or add --yes."
        )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_EFFORT


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
