"""The race of the best points of a sample on common fresh draws: which of them a random defence gets right least often."""

import torch
from torch import Tensor

from rbench.engine.judge import Judge
from rbench.threat.batch import Batch

ROUNDS = ((16, 3), (32, 2), (64, 1))
"""(fresh draws, points that are left after them): who is far behind does not run to the end."""


def race(judge: Judge, points: Tensor, margins: Tensor, clean: Batch) -> Tensor:
    """The point of every sample that is right on the smallest share of draws, int64 [B].

    All points of a sample meet the same draws; among equals the one with the higher margin wins.

    Args:
        judge: evaluates them.
        points: [B, K, C, H, W].
        margins: [B, K] by which they were ranked; -inf where there is no point.
        clean: the B samples.

    Raises:
        CellFailed: a logit is not finite.
    """
    running = margins > -torch.inf
    right = torch.zeros_like(margins, dtype=torch.float64)
    order = margins.argsort(dim=1, descending=True, stable=True)
    seen = 0
    for draws, kept in ROUNDS:
        # A sample with no more points than would be left has nothing to decide in this round.
        rows, places = torch.nonzero(running & (running.sum(1, keepdim=True) > kept), as_tuple=True)
        if len(rows):
            numbers = torch.arange(seen, seen + draws, device=rows.device)
            shown = clean.at(rows)
            predictions = judge.predictions(points[rows, places], shown, "race", numbers)
            right[rows, places] += (predictions == shown.y[:, None]).sum(1).double()
        seen += draws
        running = _best(right, order, running, kept)
    return running.long().argmax(1)


def _best(right: Tensor, order: Tensor, running: Tensor, kept: int) -> Tensor:
    """Which points are left: those with the fewest right draws, bool [B, K]."""
    counts = right.masked_fill(~running, torch.inf).gather(1, order)
    places = order.gather(1, counts.argsort(dim=1, stable=True))[:, :kept]
    left = torch.zeros_like(running).scatter(1, places, value=True)
    return left & running
