"""What is kept of an attack on a random defence: the best points of every sample, of which a race finds the one to propose."""

from typing import NamedTuple

import torch
from torch import Tensor

from rbench.engine.judge import Judge
from rbench.engine.kept import Asked, Chosen
from rbench.engine.leaving import Leaving
from rbench.engine.race import race
from rbench.threat.batch import Batch
from rbench.threat.losses import margin

CONTENDERS = 4
"""Points of a sample that race at the end."""
RANKED_ON = 8
"""Draws that a point is ranked by at least: the EOT draws of the query, or as many select draws where those are fewer."""
FIRST_TEST = 4
"""Query at which a sample may first be tested for leaving; then at every doubling."""
LEAST_MORE = 10
"""Queries that a sample which passed at query t goes on for at least; it goes on to 2t if that is more."""


class Nothing(NamedTuple):
    """What is held of a start."""


class BestOfMany:
    """Of the best points by mean margin the one that is right on the smallest share of fresh draws, for a random defence.

    The budget is spent: a point at which a few draws are all wrong may lie at the border, and there is more to gain beyond it. A sample
    leaves early only after a test on never-used draws (`Leaving`). Its starts follow one another, since its tests are counted.
    """

    together = False

    def __init__(self, judge: Judge, clean: Batch, leaving: Leaving, samples: Tensor) -> None:
        """Keeps points of some samples.

        Args:
            judge: ranks, races and tests; its answers decide about no sample.
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

    def begin(self, clean: Batch, rows: Tensor) -> Nothing:  # noqa: ARG002
        """Nothing: the points of all samples are kept in one place."""
        return Nothing()

    def consider(self, held: Nothing, asked: Asked) -> Nothing:
        """Ranks the points; a sample that has passed its test goes on for twice the queries, then leaves."""
        clean = asked.clean
        draws = self._draws(asked, clean)
        y = clean.y.repeat(len(draws))
        margins = margin(draws.flatten(0, 1), y).view(len(draws), -1)
        passed = self._tested(asked, clean, (margins > 0).all(0))
        rank = margins.mean(0).masked_fill(~asked.inside, -torch.inf)
        # The point that passed stays a contender, whatever has a higher margin by a few draws on which it is far above.
        self._offer(asked, rank.masked_fill(passed, torch.inf))
        return held

    def open(self, held: Nothing, asked: Asked) -> Tensor:  # noqa: ARG002
        """Those of samples that have passed their test and are due."""
        due = self.leaves_at[asked.rows]
        return (due > 0) & (asked.queries >= due)

    def settle(self, held: Nothing, asked: Asked) -> tuple[Nothing, Tensor]:
        """A sample that has passed its test leaves when it is due."""
        return held, self.open(held, asked)

    def count(self, held: Nothing, rows: Tensor, fooled: Tensor) -> None:
        """Nothing: ranks do not depend on when a start ends."""

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
