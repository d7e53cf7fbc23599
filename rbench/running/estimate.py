"""How long a suite would take: two small batches of every defended model are timed, and the passes of its attacks counted."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rbench.engine.defended import DefendedModel
from rbench.errors import CellFailed, RbenchError
from rbench.process_state import kept, said, users_own
from rbench.purifiers.identity import Identity
from rbench.running.components import Components, Loaded, order, read_batch
from rbench.running.schedule import row_of
from rbench.running.throughput import USUAL, Seconds, answers, passes
from rbench.suite.cell import Cell
from rbench.suite.plan import gradient_passes
from rbench.threat.attack import Attack, IterativeAttack
from rbench.threat.batch import Batch
from rbench.threat.ladder import Ladder, Measured

SMALL, LARGE = 2, 8
"""Images of the two batches: the second shows what an image costs, the first what a pass costs however few it has."""
JUDGED = 3
"""Images of a sample that are judged: the clean one, the attacked one and that in 8 bits."""
WORKERS = (1, 2, 4, 8, 16, 32, 64)


class Work(NamedTuple):
    """Passes of one image through the defended model, at most: as if every sample survived to the end.

    Attributes:
        gradients: forward and backward.
        forwards: forward alone, those of the verdicts among them.
    """

    gradients: int
    forwards: int


class Cost(NamedTuple):
    """Seconds of a pass of one image, in batches of the usual size."""

    gradient: float
    forward: float


@dataclass(frozen=True)
class Estimate:
    """How long the cells of a plan take.

    Attributes:
        seconds: of each cell by its title and radius, by one worker.
        longest: seconds of the longest span, which no number of workers makes shorter.
        unknown: titles of cells that are in none of these, and why.
    """

    seconds: dict[str, float]
    longest: float
    unknown: dict[str, str]

    def with_workers(self, count: int) -> float:
        """Seconds that so many workers like the one that was timed take."""
        return max(sum(self.seconds.values()) / count, self.longest)

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        hours = {str(count): self.with_workers(count) / 3600 for count in WORKERS}
        return {"hours": hours, "seconds": self.seconds, "unknown": self.unknown}


def estimate(cells: Sequence[Cell], measure: Callable[[Cell], tuple[Work | None, Cost, int]]) -> Estimate:
    """Puts together what was counted and timed.

    Args:
        cells: of the plan.
        measure: cell -> its work, None where nobody can tell; what a pass of its model costs; its spans. May raise `CellFailed`.
    """
    seconds, unknown, longest = dict[str, float](), dict[str, str](), 0.0
    for cell in cells:
        name = f"{cell.title} {cell.threat.eps.text}"
        try:
            work, cost, spans = measure(cell)
        except CellFailed as error:
            unknown[name] = str(error)
            continue
        if work is None:
            unknown[name] = "the passes of this attack do not follow from its parameters"
            continue
        seconds[name] = work.gradients * cost.gradient + work.forwards * cost.forward
        longest = max(longest, seconds[name] / spans)
    return Estimate(seconds, longest, unknown)


def cost_of(seconds: Seconds) -> float:
    """Seconds for each image in batches of the usual size, from two small batches."""
    seconds(SMALL)  # what a first pass loads is loaded once
    small, large = (min(seconds(size), seconds(size)) for size in (SMALL, LARGE))
    each = max(0.0, (large - small) / (LARGE - SMALL))
    return each + max(0.0, small - SMALL * each) / USUAL


def probe(components: Components) -> Callable[[Cell], tuple[Work | None, Cost, int]]:
    """What `estimate` asks about a cell; the model of a row is timed once.

    Args:
        components: makes models and attacks.
    """
    costs = dict[str, Cost]()

    def measure(cell: Cell) -> tuple[Work | None, Cost, int]:
        loaded = components.of(cell)
        ids = order(loaded.dataset, cell.slice)
        if row_of(cell) not in costs:
            with kept(loaded.model.owner):
                batch = read_batch(loaded.dataset, ids[:LARGE], components.device)
                costs[row_of(cell)] = _cost(loaded.model, batch)
        spans = math.ceil(len(ids) / loaded.attack.chunk(USUAL))
        return work_of(cell, loaded, len(ids)), costs[row_of(cell)], spans

    return measure


def _cost(model: DefendedModel, batch: Batch) -> Cost:
    try:
        return Cost(cost_of(passes(model, batch)), cost_of(answers(model, batch)))
    except BaseException as error:
        if users_own(error) or isinstance(error, RbenchError):
            raise
        raise CellFailed(said(error)) from None


def work_of(cell: Cell, loaded: Loaded, samples: int) -> Work | None:
    """The passes of a cell: those that the plan counts, else those of the attack or of the rungs that it would have.

    Whether the purifier is random and differentiable is what it says of itself; the audit of the run may find otherwise.

    Args:
        cell: the cell.
        loaded: its components.
        samples: how many it has.
    """
    model = loaded.model
    is_random = bool(getattr(model.purifier, "stochastic", False))
    classes = len(loaded.dataset.classes) or int(loaded.dataset.labels[loaded.dataset.ids].max()) + 1
    draws = (cell.draws + cell.select_draws) if is_random else 1
    counted = gradient_passes(cell)
    if counted is not None:
        return Work(counted, JUDGED * draws * samples)
    parts = list(_parts(cell, model, loaded.attack, random=is_random))
    if not parts:
        return None
    gradients = forwards = 0
    for attack, eot in parts:
        fitted = attack.fit(classes)
        for ask in fitted.asks:
            starts = samples * fitted.runs * eot
            asked = math.ceil(starts * fitted.steps / len(fitted.asks))
            gradients += 0 if ask == "logits" else asked * (classes - 1 if ask == "nearest" else 1)
            forwards += asked if ask == "logits" else 0
        forwards += samples * fitted.runs * eot  # the last point of a start
    return Work(gradients, forwards + JUDGED * draws * samples)


def _parts(cell: Cell, model: DefendedModel, attack: Attack, *, random: bool) -> Iterator[tuple[IterativeAttack, int]]:
    """The attacks that a cell consists of, each with its draws for a query; none where one of them is third-party code."""
    if isinstance(attack, IterativeAttack):
        yield attack, cell.eot if random else 1
    if not isinstance(attack, Ladder):
        return
    differentiable = bool(getattr(model.purifier, "differentiable", True))
    changes, surrogate = type(model.purifier) is not Identity, model.surrogate is not None
    measured = Measured(random, differentiable, changes, model.encodes, surrogate, eot=cell.eot, norm=cell.threat.norm)
    rungs = attack.rungs(measured)
    if all(isinstance(rung.attack, IterativeAttack) for rung in rungs):
        for rung in rungs:
            assert isinstance(rung.attack, IterativeAttack)
            yield rung.attack, rung.eot
