"""rbench's own attacks with a budget, and one side of a pair: something that runs, and what its passes are counted on."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bench.budgets import STANDARD, WHOLE, Budget
from bench.counting import Clock, Counting, needed, over, replayed
from bench.models import Model
from rbench.attacks.apgd import apgd
from rbench.attacks.autoattack import NORMS, autoattack
from rbench.attacks.fab import fab_t
from rbench.attacks.pgd import pgd
from rbench.attacks.square import square
from rbench.engine.defended import DefendedModel
from rbench.engine.driver import Proposals
from rbench.engine.ladder import run_ladder
from rbench.engine.propose import Problem, propose
from rbench.engine.setup import Protocol, Setup, set_up
from rbench.threat.attack import Attack, IterativeAttack
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.ladder import Ladder, Rung
from rbench.threat.terms import ANY_PATH

BATCH = 64
"""Images at once, at most."""


def own(name: str, budget: Budget) -> Attack:
    """An attack of rbench with a budget."""
    makers: dict[str, Callable[[], IterativeAttack]] = {
        "pgd": lambda: pgd(steps=budget.pgd),
        "apgd": lambda: apgd(steps=budget.steps),
        "apgd-t": lambda: apgd(steps=budget.steps, loss="dlr-targeted", targets=budget.targets),
        "fab-t": lambda: fab_t(steps=budget.steps, targets=budget.targets),
        "square": lambda: square(queries=budget.queries),
    }
    if name != WHOLE:
        return makers[name]()
    if budget == STANDARD:
        return autoattack(batch_size=BATCH)
    members = [(member, makers[member]()) for member in ("apgd", "apgd-t", "fab-t", "square")]
    return Ladder(
        lambda measured: tuple(Rung(label, member, measured.path, measured.eot) for label, member in members),
        BATCH,
        NORMS,
        ANY_PATH,
    )


def readied(model: Model, attack: Attack, eps: float) -> Setup:
    """The attack on a model, audited, with the backbone for attacks prepared."""
    protocol = Protocol(Ball("Linf", eps), batch_size=BATCH)
    return set_up(DefendedModel(model.purifier, model.backbone), attack, protocol, model.clean)


def attacked(setup: Setup, clean: Batch) -> Proposals:
    """What rbench's attack proposes, without audit and judging."""
    task = Problem.of(setup.judge, clean, torch.ones(len(clean), device=clean.device), setup.audit.classes)
    if isinstance(setup.attack, Ladder):
        return run_ladder(setup.rungs, task, setup.oracle.model, lambda count: None)[0]
    assert isinstance(setup.attack, IterativeAttack)
    rows = torch.arange(len(clean), device=clean.device)
    return propose(setup.attack, setup.oracle, task, rows, lambda count: None)


@dataclass(frozen=True)
class Taken:
    """One run of one side.

    Attributes:
        seconds: by the clock.
        alone: those of its passes alone.
        passes: forward and backward, in images.
        points: [N, C, H, W] what it found.
    """

    seconds: float
    alone: float
    passes: int
    points: Tensor


@dataclass(frozen=True)
class Side:
    """Something that is timed against others on the same images.

    Attributes:
        run: the attack; returns its points [N, C, H, W].
        counted: what it asks, each with the model that its passes are replayed on.
    """

    run: Callable[[], Tensor]
    counted: tuple[tuple[Counting, nn.Module], ...]

    def take(self, x: Tensor, clock: Clock) -> Taken:
        """Runs it once, then its passes alone."""
        for counting, _ in self.counted:
            counting.seen.clear()
        start = clock()
        points = self.run()
        seconds = clock() - start
        alone = sum(replayed(model, counting.seen, x, clock) for counting, model in self.counted)
        return Taken(seconds, alone, sum(counting.passes() for counting, _ in self.counted), points)


class Own:
    """rbench's side: attack alone, on the prepared backbone; the judge who is shown fooled points asks the backbone as it is.

    Args:
        setup: of the attack.
        clean: the images.
    """

    def __init__(self, setup: Setup, clean: Batch) -> None:
        self.clean, self.last = clean, None
        asked, judged = (model.backbone for model in (setup.oracle.model, setup.judge.model))
        attacker, judge = Counting(asked), Counting(judged)
        oracle = type(setup.oracle)(
            setup.oracle.model.with_backbone(attacker), setup.path, eot=setup.oracle.eot, noise=setup.noise
        )
        shown = replace(setup.judge, model=setup.judge.model.with_backbone(judge))
        self.setup = replace(setup, oracle=oracle, judge=shown)
        purifier = setup.model.purifier
        parts = tuple((one, nn.Sequential(purifier, one.model)) for one in (attacker, judge))
        self.side = Side(self._run, parts)

    def _run(self) -> Tensor:
        self.last = attacked(self.setup, self.clean)
        return self.last.x

    def needed(self, fooled: Tensor) -> int:
        """Passes that the samples needed in the last run, by which of them are fooled, bool [N]."""
        assert self.last is not None
        attacks = [rung.attack for rung in self.setup.rungs] or [self.setup.attack]
        classes = self.setup.audit.classes
        counts = zip(self.last.queries.tolist(), fooled.tolist(), strict=True)
        return sum(needed(attacks, queries, classes, fooled=hit) for queries, hit in counts)


__all__ = ["BATCH", "Own", "Side", "Taken", "attacked", "over", "own", "readied"]
