"""The active batch of the driver: which start of which sample each row is, and where it stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rbench.threat.ball import Ball
from rbench.threat.batch import Batch


class Start(NamedTuple):
    """One start of the attack on one sample.

    Attributes:
        row: of the sample in the problem.
        run: number of the start, from 0: restart after restart, and within each every target.
    """

    row: int
    run: int


class Tally(NamedTuple):
    """What is counted of each start while it is active."""

    queries: Tensor  # [B] int64 of the sample, up to and with this start
    zero_gradients: Tensor  # [B] int64 queries of this start whose gradient was all zero
    broken: Tensor  # [B] NaN once a logit was not finite, else 0


@dataclass
class Slots:
    """The active batch: row b of every tensor belongs to `starts[b]`. What the host knows without asking the device is kept in lists."""

    starts: list[Start]
    ends: list[int]  # iteration of the driver at which the start asks for the last time
    rows: Tensor  # [B] int64 the rows of the starts
    clean: Batch
    target: Tensor | None  # [B] the class that a targeted loss aims at
    tally: Tally
    held: Any  # what the rule of what is kept holds
    state: Any  # of the attack

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, places: Sequence[int]) -> "Slots":
        """Some of them."""
        where = torch.tensor(places, dtype=torch.int64, device=self.rows.device)
        return Slots(
            [self.starts[place] for place in places],
            [self.ends[place] for place in places],
            self.rows[where],
            self.clean.at(where),
            None if self.target is None else self.target[where],
            select_rows(self.tally, where),
            select_rows(self.held, where),
            select_rows(self.state, where),
        )

    def joined(self, more: "Slots") -> "Slots":
        """Those of both, the others after these."""
        assert (self.target is None) == (more.target is None)
        return Slots(
            self.starts + more.starts,
            self.ends + more.ends,
            torch.cat([self.rows, more.rows]),
            self.clean.joined(more.clean),
            None if self.target is None or more.target is None else torch.cat([self.target, more.target]),
            join_rows(self.tally, more.tally),
            join_rows(self.held, more.held),
            join_rows(self.state, more.state),
        )


def select_rows(state: Any, rows: Tensor) -> Any:
    """Some rows of a state, a NamedTuple whose tensors and balls have the batch as first axis."""
    return type(state)(*(part.at(rows) if isinstance(part, Ball) else part[rows] for part in state))


def join_rows(first: Any, second: Any) -> Any:
    """Two states as one, the rows of the second after those of the first."""
    pairs = zip(first, second, strict=True)
    return type(first)(*(a.joined(b) if isinstance(a, Ball) else torch.cat([a, b]) for a, b in pairs))
