"""What is kept of an attack: the point of every sample that is proposed to the judge, and who may leave.

Three rules, one for each thing an attacker can know: it learns from the defended model that a sample is fooled (`FirstFooled`), of a
random one only from many draws (`BestOfMany`), or nothing at all (`HighestLoss`).
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rbench.engine.judge import Judge, share_right
from rbench.engine.leaving import Leaving
from rbench.engine.race import race
from rbench.threat.batch import Batch
from rbench.threat.losses import margin
from rbench.threat.query import Answer

CONTENDERS = 4
"""Points of a sample that race at the end."""
RANKED_ON = 8
"""Draws that a point is ranked by at least: the EOT draws of the query, or as many select draws where those are fewer."""
FIRST_TEST = 4
"""Query at which a sample may first be tested for leaving; then at every doubling."""
LEAST_MORE = 10
"""Queries that a sample which passed at query t goes on for at least; it goes on to 2t if that is more."""


@dataclass(frozen=True)
class Asked:
    """Points that were asked about.

    Attributes:
        rows: [B] their samples, as places in the problem.
        points: [B, C, H, W].
        queries: [B] number of the query of each sample, from 1, over all restarts.
        inside: [B] which of them may be proposed.
        answer: of the oracle.
    """

    rows: Tensor
    points: Tensor
    queries: Tensor
    inside: Tensor
    answer: Answer


@dataclass(frozen=True)
class Chosen:
    """The points that are proposed.

    Attributes:
        x: [N, C, H, W]; the clean image where nothing was asked.
        loss: [N] at the point; NaN where nothing was asked.
        claimed: [N] whether the attacker's own draws see it fooled.
    """

    x: Tensor
    loss: Tensor
    claimed: Tensor


class Kept(Protocol):
    """A rule for what is kept."""

    def consider(self, asked: Asked) -> Tensor:
        """Takes in the points of one query; returns which samples leave now, bool [B]."""

    def choose(self) -> Chosen:
        """The points to propose, once the attack is over."""


class HighestLoss:
    """The point with the highest loss, for an attacker who learns nothing from the defended model (docs/judging.md, rule 1.3).

    Stopping when the bare backbone is fooled would make blind and transfer attacks weak and purifiers look strong.
    """

    def __init__(self, clean: Batch) -> None:
        self.x = clean.x.clone()
        self.loss = torch.full((len(clean),), torch.nan, device=clean.device)

    def consider(self, asked: Asked) -> Tensor:
        """Nobody leaves."""
        better = asked.inside & ~(asked.answer.loss <= self.loss[asked.rows])
        rows = asked.rows[better]
        self.loss[rows] = asked.answer.loss[better]
        self.x[rows] = asked.points[better]
        return torch.zeros_like(better)

    def choose(self) -> Chosen:
        """The points with the highest loss; none is claimed, since the loss is not that of the defended model."""
        return Chosen(self.x, self.loss, torch.zeros_like(self.loss, dtype=torch.bool))


class FirstFooled:
    """The first point that the judge finds fooled, else that with the highest loss, for a deterministic defence."""

    def __init__(self, judge: Judge, clean: Batch) -> None:
        self.judge, self.clean = judge, clean
        self.x = clean.x.clone()
        self.loss = torch.full((len(clean),), torch.nan, device=clean.device)
        self.claimed = torch.zeros(len(clean), dtype=torch.bool, device=clean.device)
        self.fooled = self.claimed.clone()

    def consider(self, asked: Asked) -> Tensor:
        """A sample leaves when the judge finds it fooled; he is shown what the attacker sees fooled."""
        rows, clean = asked.rows, self.clean.at(asked.rows)
        claimed = asked.inside & (asked.answer.logits.argmax(1) != clean.y)
        fooled = torch.zeros_like(claimed)
        if claimed.any():
            shown = clean.at(claimed)
            fooled[claimed] = share_right(self.judge.select(asked.points[claimed], shown), shown.y) == 0
        better = asked.inside & ~self.fooled[rows] & (fooled | ~(asked.answer.loss <= self.loss[rows]))
        into = rows[better]
        self.loss[into] = asked.answer.loss[better]
        self.x[into] = asked.points[better]
        self.claimed[into] = claimed[better]
        self.fooled[into] = fooled[better]
        return fooled

    def choose(self) -> Chosen:
        """The points."""
        return Chosen(self.x, self.loss, self.claimed)


class BestOfMany:
    """Of the best points by mean margin the one that is right on the smallest share of fresh draws, for a random defence.

    The budget is spent: a point at which a few draws are all wrong may lie at the border, and there is more to gain beyond it. A sample
    leaves early only after a test on never-used draws (`Leaving`).
    """

    def __init__(self, judge: Judge, clean: Batch, leaving: Leaving, samples: Tensor) -> None:
        """Keeps points of some samples.

        Args:
            judge: has the select draws.
            clean: N samples.
            leaving: the tests of all samples of the problem.
            samples: [N] their places in it.
        """
        self.judge, self.clean, self.leaving, self.samples = judge, clean, leaving, samples
        shape, device = (len(clean), CONTENDERS), clean.device
        self.points = clean.x[:, None].repeat(1, CONTENDERS, 1, 1, 1)
        self.rank = torch.full(shape, -torch.inf, device=device)
        self.loss = torch.full(shape, torch.nan, device=device)
        self.claimed = torch.zeros(shape, dtype=torch.bool, device=device)
        self.leaves_at = torch.zeros(len(clean), dtype=torch.int64, device=device)  # 0: not yet known

    def consider(self, asked: Asked) -> Tensor:
        """Ranks the points; a sample that has passed its test goes on for twice the queries, then leaves."""
        clean = self.clean.at(asked.rows)
        draws = self._draws(asked, clean)
        y = clean.y.repeat(len(draws))
        margins = margin(draws.flatten(0, 1), y).view(len(draws), -1)
        passed = self._tested(asked, clean, (margins > 0).all(0))
        rank = margins.mean(0).masked_fill(~asked.inside, -torch.inf)
        # The point that passed stays a contender, whatever has a higher margin by a few draws on which it is far above.
        self._offer(asked, rank.masked_fill(passed, torch.inf))
        due = self.leaves_at[asked.rows]
        return (due > 0) & (asked.queries >= due)

    def choose(self) -> Chosen:
        """The winner of a race."""
        winner = race(self.judge, self.points, self.rank, self.clean)
        rows = torch.arange(len(winner), device=winner.device)
        return Chosen(self.points[rows, winner], self.loss[rows, winner], self.claimed[rows, winner])

    def _draws(self, asked: Asked, clean: Batch) -> Tensor:
        """The logits [K, B, classes] that points are ranked by."""
        own = torch.stack(asked.answer.draws)
        if len(own) >= RANKED_ON:
            return own
        # Every query has select draws of its own; the first ones are those of the final choice.
        numbers = self.judge.select_draws + RANKED_ON * asked.queries[:, None]
        numbers = numbers + torch.arange(RANKED_ON, device=clean.device)
        return self.judge.logits(asked.points, clean, "select", numbers).transpose(0, 1)

    def _tested(self, asked: Asked, clean: Batch, wrong: Tensor) -> Tensor:
        """Tests the samples that are due and whose point no draw gets right; returns which pass, bool [B]."""
        rows, queries = asked.rows, asked.queries
        doubling = (queries >= FIRST_TEST) & ((queries & (queries - 1)) == 0)
        due = doubling & wrong & asked.inside & (self.leaves_at[rows] == 0)
        passed = torch.zeros_like(due)
        if due.any():
            passed[due] = self.leaving.test(self.judge, asked.points[due], clean.at(due), self.samples[rows[due]])
            self.leaves_at[rows[passed]] = torch.maximum(2 * queries[passed], queries[passed] + LEAST_MORE)
        return passed

    def _offer(self, asked: Asked, rank: Tensor) -> None:
        """Takes each point in the place of the lowest contender of its sample, if it ranks above it."""
        rows = asked.rows
        lowest, place = self.rank[rows].min(1)
        better = rank > lowest
        into = rows[better], place[better]
        self.rank[into] = rank[better]
        self.points[into] = asked.points[better]
        self.loss[into] = asked.answer.loss[better]
        self.claimed[into] = asked.answer.logits[better].argmax(1) != self.clean.y[rows[better]]
