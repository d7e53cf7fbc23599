"""When a sample may leave an attack on a random defence before the budget is spent: by a test that repeated looks cannot fool."""

import math

import torch
from torch import Tensor

from rbench.engine.judge import Judge
from rbench.threat.batch import Batch

RIGHT = 0.01
"""Share of right draws below which a point counts as fooling on every draw."""
CONFIDENCE = 0.95
"""Of all tests of a sample together."""
FIRST_GROUP = 8
"""Draws that a test takes at first; each further group has twice as many."""


def draws_needed(test: int) -> int:
    """How many draws without a right one it takes to pass a test.

    Of a point that is right on 1 % of its draws or more, n draws hold no right one with probability 0.99^n at most. Test j may pass by
    luck with probability 0.05 / (j (j + 1)), which sums to 0.05 over all tests.

    Args:
        test: number of the test of this sample, from 1.
    """
    chance = (1 - CONFIDENCE) / (test * (test + 1))
    return math.ceil(math.log(chance) / math.log(1 - RIGHT))


class Leaving:
    """The tests of N samples, over all restarts and rungs that attack them.

    Args:
        count: N.
        device: of the samples.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        self.tests = torch.zeros(count, dtype=torch.int64, device=device)
        self.used = torch.zeros(count, dtype=torch.int64, device=device)
        self.passed = torch.zeros(count, dtype=torch.bool, device=device)

    def test(self, judge: Judge, points: Tensor, clean: Batch, rows: Tensor) -> Tensor:
        """Tests points on draws that were never used before; returns which pass, bool [B].

        A test ends at the first group that holds a right draw.

        Args:
            judge: evaluates them.
            points: [B, C, H, W] one point a sample, that the attacker's own draws all see fooled.
            clean: the B samples.
            rows: [B] their places among the N.
        """
        self.tests[rows] += 1
        left = torch.tensor([draws_needed(test) for test in self.tests[rows].tolist()], device=rows.device)
        going, group = left > 0, FIRST_GROUP
        while going.any():
            at = torch.nonzero(going)[:, 0]
            size = min(group, int(left[at].min()))
            first = self.used[rows[at]]
            numbers = first[:, None] + torch.arange(size, device=rows.device)
            right = judge.predictions(points[at], clean.at(at), "leave", numbers) == clean.y[at, None]
            self.used[rows[at]] = first + size
            left[at] -= size
            going[at] = ~right.any(1) & (left[at] > 0)
            left[at[right.any(1)]] = -1
            group *= 2
        passes = left == 0
        self.passed[rows[passes]] = True
        return passes
