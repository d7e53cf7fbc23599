"""A ladder of attacks: the rungs that a defended model calls for, each on the samples that still stand."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from rbench.engine.audit import SAMPLES, Audit
from rbench.engine.defended import DefendedModel
from rbench.engine.driver import Proposals, fit_classes, nothing_yet
from rbench.engine.judge import Judge
from rbench.engine.oracle import Oracle
from rbench.engine.propose import Samples, propose
from rbench.errors import CellFailed
from rbench.results.record import RungPart
from rbench.threat.attack import Found, IterativeAttack, Ladder, Rung
from rbench.threat.noise import Noise
from rbench.threat.terms import Norm

COUNTED = ("attacked", "fooled", "backwards", "seconds")


def choose(
    ladder: Ladder, model: DefendedModel, seen: Audit, x: Tensor, ids: Tensor, noise: Noise, eot: int, norm: Norm
) -> tuple[Rung, ...]:
    """The rungs for a defended model.

    Args:
        ladder: the attack.
        model: the defended model.
        seen: what the audit found of it.
        x: [B, C, H, W] clean images, to see whether the purifier changes any.
        ids: [B] their sample ids.
        noise: the root of the cell's randomness.
        eot: draws per gradient that the suite asks for.
        norm: norm of the ball.
    """
    with torch.no_grad():
        changes = not torch.equal(model.purify(x, noise.of("audit", ids, x.device)), x)
    found = Found(
        random=seen.random,
        differentiable=seen.differentiable,
        changes=changes,
        encodes=model.encodes,
        surrogate=model.surrogate is not None,
        hard_label=tells_the_winner_alone(model, x[:SAMPLES], ids[:SAMPLES], noise),
        eot=eot,
        norm=norm,
    )
    return tuple(_fitted(rung, model, seen.classes) for rung in ladder.rungs(found))


def tells_the_winner_alone(model: DefendedModel, x: Tensor, ids: Tensor, noise: Noise) -> bool:
    """Whether the outputs are two values, the higher of them once a row: the winning class and nothing else.

    Asked on the way to the negative of every image as well, since outputs that have merely saturated do so where the model is sure.

    Args:
        model: the defended model.
        x: [B, C, H, W] clean images.
        ids: [B] their sample ids.
        noise: the root of the cell's randomness.
    """
    values: set[float] = set()
    for share in (0.0, 0.2, 0.4, 0.6, 0.8):
        with torch.no_grad():
            logits = model(x + share * (1 - 2 * x), noise.of("audit", ids, x.device))
        values |= set(logits.unique().tolist())
        if len(values) > 2 or bool(((logits == max(values)).sum(1) != 1).any()):
            return False
    return len(values) == 2


def _fitted(rung: Rung, model: DefendedModel, classes: int) -> Rung:
    """A rung with a loss for this number of classes, its exact path through the stages of a purifier that has some."""
    if isinstance(rung.attack, IterativeAttack):
        rung = replace(rung, attack=fit_classes(rung.attack, classes))
    if rung.path == "exact" and model.staged and "checkpointed" in rung.attack.gradients:
        rung = replace(rung, path="checkpointed")
    return rung


def climb(
    rungs: Sequence[Rung], judge: Judge, samples: Samples, classes: int, on_done: Callable[[int], None]
) -> tuple[Proposals, float, dict[str, float]]:
    """Runs the rungs in order; a sample leaves when no select draw is right any more.

    Returns:
        The best point of every sample, by how much rounding may take it out of the ball, and what each rung did (see `contributions`).

    Raises:
        CellFailed: a logit or a proposal breaks a rule of judging; names the rung.
    """
    best, counts, widest = _Best(samples.x), dict[str, float](), 0.0
    standing = samples.share > 0
    on_done(int((~standing).sum()))
    for position, rung in enumerate(rungs):
        rows = torch.nonzero(standing)[:, 0]
        spent, clock, fallen = judge.model.meter.backwards, time.monotonic(), rows[:0]
        if len(rows):
            try:
                found, share, tolerance = _attempt(rung, position, judge, samples.at(rows), classes)
            except CellFailed as error:
                raise CellFailed(f"{rung.label}: {error}", error.sample_ids) from error
            best.take(rung, rows, found, share)
            widest = max(widest, tolerance)
            fallen = rows[share == 0]
            standing[fallen] = False
            on_done(len(fallen))
        did = (len(rows), len(fallen), judge.model.meter.backwards - spent, time.monotonic() - clock)
        counts |= {_key(rung, name): value for name, value in zip(COUNTED, did, strict=True)}
    on_done(int(standing.sum()))
    return best.proposals(), widest, counts


def contributions(rungs: Sequence[Rung], counts: dict[str, float]) -> tuple[RungPart, ...]:
    """What each rung did, from the counts of all chunks of a cell."""
    return tuple(
        RungPart(
            label=rung.label,
            path="none" if rung.black_box else rung.path,
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
    rung: Rung, position: int, judge: Judge, samples: Samples, classes: int
) -> tuple[Proposals, Tensor, float]:
    """What one rung proposes, the share of select draws [N] that its points leave right, and its tolerance."""
    model = judge.model if rung.stand_in == "surrogate" else judge.model.with_stand_in(None)
    # Rungs must not all start from the same points: each has a root of its own, out of reach of any seed in a suite.
    noise = Noise(judge.noise.seed + (position << 32))
    oracle = Oracle(model, rung.path, eot=rung.eot, noise=noise)
    found, tolerance = propose(rung.attack, oracle, judge, samples, classes, lambda count: None)
    judge.admit(found.x, samples.x, samples.ids, tolerance)
    predictions = judge.predictions(found.x, samples.x, samples.ids, "select")
    return found, (predictions == samples.y[:, None]).float().mean(1), tolerance


class _Best:
    """The best point of every sample so far, and all that was spent on it."""

    def __init__(self, x: Tensor) -> None:
        self.kept = nothing_yet(x)
        self.share = torch.full((len(x),), 2.0, device=x.device)  # above 1: nothing seen yet
        self.asked = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        self.dead = torch.ones(len(x), dtype=torch.bool, device=x.device)

    def take(self, rung: Rung, rows: Tensor, found: Proposals, share: Tensor) -> None:
        """Takes in what a rung proposes for some rows."""
        ours = isinstance(rung.attack, IterativeAttack)
        # Third-party code hands back the clean image where it fails, so it does not win a tie.
        better = (share < self.share[rows]) | ((share == self.share[rows]) & ours)
        into = rows[better]
        self.share[into] = share[better]
        self.kept.x[into] = found.x[better]
        self.kept.loss_first[into] = found.loss_first[better]
        self.kept.loss_last[into] = found.loss_last[better]
        self.kept.queries[rows] += found.queries
        self.kept.zero_gradients[rows] += found.zero_gradients
        self.kept.passed_by[rows] |= found.passed_by
        self.kept.seen_fooled += found.seen_fooled
        self.kept.confirmed += found.confirmed
        if isinstance(rung.attack, IterativeAttack) and rung.attack.asks == "gradient" and rung.path != "blind":
            self.asked[rows] = True
            self.dead[rows] &= found.zero_at_start

    def proposals(self) -> Proposals:
        """A gradient counts as zero at the start where no rung through the purifier had another."""
        self.kept.zero_at_start = self.asked & self.dead
        return self.kept
