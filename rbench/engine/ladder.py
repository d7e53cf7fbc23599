"""A ladder of attacks: the rungs that a defended model calls for, each on the samples that survived those before it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from rbench.engine.audit import Audit
from rbench.engine.audited_images import SAMPLES
from rbench.engine.defended import DefendedModel
from rbench.engine.driver import Proposals, nothing_yet
from rbench.engine.judge import share_right
from rbench.engine.oracle import Oracle
from rbench.engine.propose import Problem, propose
from rbench.errors import CellFailed
from rbench.purifiers.identity import Identity
from rbench.results.record import RungPart
from rbench.threat.batch import Batch
from rbench.threat.displacements import DISPLACEMENTS
from rbench.threat.ladder import Ladder, Measured, Rung
from rbench.threat.noise import Noise
from rbench.threat.terms import GradientPath, Norm

COUNTED = ("attacked", "fooled", "backwards", "seconds")
"""What is counted of each rung."""


def choose(
    ladder: Ladder,
    model: DefendedModel,
    seen: Audit,
    eot: int,
    norm: Norm,
    *,
    hard_label: bool,
    path: GradientPath = "exact",
    trusted: bool = True,
) -> tuple[Rung, ...]:
    """The rungs for a defended model.

    Args:
        ladder: the attack.
        model: the defended model.
        seen: what the audit measured of it.
        eot: draws per gradient that the suite asks for.
        norm: norm of the ball.
        hard_label: what `tells_the_winner_alone` says.
        path: the gradient path that the suite asks for, or the one of most use.
        trusted: nothing measured speaks against the exact gradient.
    """
    measured = Measured(
        random=seen.random,
        differentiable=seen.differentiable,
        # Any purifier but rbench's own `identity` may change images that were not looked at.
        changes=type(model.purifier) is not Identity or seen.changes,
        encodes=model.encodes,
        surrogate=model.surrogate is not None,
        hard_label=hard_label,
        eot=eot,
        norm=norm,
        trusted=trusted,
        path=path,
    )
    return tuple(_fitted(rung, model, seen.classes) for rung in ladder.rungs(measured))


def tells_the_winner_alone(model: DefendedModel, sample: Batch, noise: Noise) -> bool:
    """Whether the outputs are hard labels: of two values only, the higher one in each row at the winning class alone.

    Blends of every image with its negative are looked at as well: where the model is sure, soft outputs that have merely saturated look
    the same.

    Args:
        model: the defended model.
        sample: of which the first 16 are looked at.
        noise: the root of the cell's randomness.
    """
    sample = sample.at(slice(SAMPLES))
    x = sample.x
    values: set[float] = set()
    for share in (0.0, 0.2, 0.4, 0.6, 0.8):
        with torch.no_grad():
            logits = model(x + share * (1 - 2 * x), noise.of("audit", sample.ids, sample.device))
        values |= set(logits.unique().tolist())
        if len(values) > 2 or bool(((logits == max(values)).sum(1) != 1).any()):
            return False
    return len(values) == 2


def _fitted(rung: Rung, model: DefendedModel, classes: int) -> Rung:
    """A rung with a loss for this number of classes, and with the checkpointed path for the exact one if the purifier has stages."""
    rung = replace(rung, attack=rung.attack.fit(classes))
    if rung.path == "exact" and model.staged and "checkpointed" in rung.attack.gradients:
        rung = replace(rung, path="checkpointed")
    return rung


def run_ladder(
    rungs: Sequence[Rung], problem: Problem, attacked: DefendedModel, on_done: Callable[[int], None]
) -> tuple[Proposals, dict[str, float]]:
    """Runs the rungs in order.

    A sample that a deterministic defence gets wrong leaves; against a random one it leaves when it has passed the test of `Leaving`.

    Args:
        rungs: in the order to run.
        problem: N samples.
        attacked: the defended model as rbench's own attacks ask it.
        on_done: called with the number of samples that are done.

    Returns:
        The best point of every sample, and what each rung did (see `contributions`).

    Raises:
        CellFailed: a logit or a proposal breaks a rule of judging; names the rung.
    """
    best, counts = _Best(problem.clean.x), dict[str, float]()
    judge, staying = problem.judge, problem.attacked.clone()
    on_done(int((~staying).sum()))
    for position, rung in enumerate(rungs):
        rows = torch.nonzero(staying)[:, 0]
        spent, clock, fooled, left = judge.model.meter.backwards, time.monotonic(), 0, rows[:0]
        if len(rows):
            try:
                proposals, share = _attempt(rung, position, problem, attacked, rows)
            except CellFailed as error:
                raise CellFailed(f"{rung.label}: {error}", error.sample_ids) from error
            fooled = int(((share == 0) & (best.share[rows] > 0)).sum())
            best.take(rung, rows, proposals, share)
            left = rows[problem.leaving.passed[rows] if judge.random else share == 0]
            staying[left] = False
            on_done(len(left))
        did = (len(rows), fooled, judge.model.meter.backwards - spent, time.monotonic() - clock)
        counts |= {_key(rung, name): value for name, value in zip(COUNTED, did, strict=True)}
    on_done(int(staying.sum()))
    return best.proposals(), counts


def contributions(rungs: Sequence[Rung], counts: dict[str, float]) -> tuple[RungPart, ...]:
    """What each rung did, from the counts of all chunks of a cell."""
    return tuple(
        RungPart(
            label=rung.label,
            path=rung.path if rung.attack.asks_gradient else "none",
            attacked=int(counts[_key(rung, "attacked")]),
            fooled=int(counts[_key(rung, "fooled")]),
            backwards=int(counts[_key(rung, "backwards")]),
            seconds=round(float(counts[_key(rung, "seconds")]), 3),
        )
        for rung in rungs
    )


def _key(rung: Rung, name: str) -> str:
    return f"{rung.label}.{name}"


def _attempt(
    rung: Rung, position: int, problem: Problem, attacked: DefendedModel, rows: Tensor
) -> tuple[Proposals, Tensor]:
    """What one rung proposes for some samples, and the share of select draws [M] that are right on its points."""
    judge, clean = problem.judge, problem.clean.at(rows)
    model = attacked if rung.attack.driven else judge.model
    model = model if rung.stand_in == "surrogate" else model.with_stand_in(None)
    # Rungs must not all start from the same points: each adds a multiple of 2**32 of its own, which no seed of a suite reaches.
    noise = Noise(judge.noise.seed + (position << 32))
    oracle = Oracle(model, rung.path, eot=rung.eot, noise=noise)
    proposals = propose(rung.attack, oracle, problem, rows, lambda count: None)
    judge.admit(proposals.x, clean, rung.attack.tolerance)
    return proposals, share_right(judge.select(proposals.x, clean), clean.y)


class _Best:
    """The best point of every sample so far, and what all rungs have spent on it."""

    def __init__(self, x: Tensor) -> None:
        self.kept = nothing_yet(x)
        self.share = torch.full((len(x),), 2.0, device=x.device)  # above 1: nothing seen yet
        self.asked = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        self.zero_at_start = torch.ones(len(x), dtype=torch.bool, device=x.device)

    def take(self, rung: Rung, rows: Tensor, proposals: Proposals, share: Tensor) -> None:
        """Takes in what a rung proposes for some rows."""
        # Third-party code hands back the clean image where it fails, so it does not win a tie.
        better = (share < self.share[rows]) | ((share == self.share[rows]) & rung.attack.driven)
        into = rows[better]
        self.share[into] = share[better]
        self.kept.x[into] = proposals.x[better]
        self.kept.loss_first[into] = proposals.loss_first[better]
        self.kept.loss_last[into] = proposals.loss_last[better]
        self.kept.claimed[into] = proposals.claimed[better]
        self.kept.queries[rows] += proposals.queries
        self.kept.zero_gradients[rows] += proposals.zero_gradients
        self.kept.passed_by[rows] |= proposals.passed_by
        # A code, an image or features may be moved by gradients although the loss of the label has none.
        climbs = rung.attack.asks_gradient and rung.attack.loss not in DISPLACEMENTS
        if rung.attack.driven and climbs and rung.path != "blind":
            self.asked[rows] = True
            self.zero_at_start[rows] &= proposals.zero_at_start

    def proposals(self) -> Proposals:
        """The best points; a gradient counts as zero at the start if every gradient rung through the purifier started with a zero one."""
        self.kept.zero_at_start = self.asked & self.zero_at_start
        return self.kept
