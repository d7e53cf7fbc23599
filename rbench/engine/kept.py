"""What is kept of an attack: the point of every sample that is proposed to the judge, and who may leave.

Three rules, one for each thing an attacker can know: it learns from the defended model that a sample is fooled (`FirstFooled`), of a
random one only from many draws (`rbench.engine.best_of_many`), or nothing at all (`HighestLoss`).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from rbench.engine.judge import Judge
from rbench.threat.ball import choose
from rbench.threat.batch import Batch
from rbench.threat.losses import margin
from rbench.threat.query import Answer

SURELY = 1e-4
"""By how much of the largest logit a wrong class must be above the true one, so that no other batch size turns them round."""


@dataclass(frozen=True)
class Asked:
    """Points that were asked about.

    Attributes:
        rows: [B] their samples, as places in the problem.
        clean: these samples.
        points: [B, C, H, W].
        queries: [B] number of the query of each sample, from 1, over all starts.
        inside: [B] which of them may be proposed.
        answer: of the oracle.
    """

    rows: Tensor
    clean: Batch
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
    """A rule for what is kept. Of each active start it holds a state, a NamedTuple of tensors with the batch as first axis."""

    @property
    def together(self) -> bool:
        """Whether starts of one sample may be active at the same time."""

    def begin(self, clean: Batch, rows: Tensor) -> Any:
        """What is held of starts of these samples before their first query."""

    def consider(self, held: Any, asked: Asked) -> Any:
        """Takes in the points of one query; returns what is held then."""

    def open(self, held: Any, asked: Asked) -> Tensor:
        """Of which starts `settle` has to say whether they have fooled their sample, bool [B]."""

    def settle(self, held: Any, asked: Asked) -> tuple[Any, Tensor]:
        """Returns what is held then and which of the open starts have fooled their sample, bool [B]. May wait for the device."""

    def count(self, held: Any, rows: Tensor, fooled: Tensor) -> None:
        """Takes in what starts have found when they have ended; those of one sample in their order."""

    def choose(self) -> Chosen:
        """The points to propose, once the attack is over."""


class Point(NamedTuple):
    """The point that is held of each start."""

    x: Tensor  # [B, C, H, W]
    loss: Tensor  # [B] NaN before the first query
    claimed: Tensor  # [B] bool: the answer to the query saw it fooled
    unsettled: Tensor  # [B] bool: claimed, and the judge has not seen it


def _nowhere(clean: Batch) -> Point:
    no = torch.zeros(len(clean), dtype=torch.bool, device=clean.device)
    return Point(clean.x.clone(), torch.full((len(clean),), torch.nan, device=clean.device), no, no.clone())


def _replaced(held: Point, better: Tensor, asked: Asked, claimed: Tensor, unsettled: Tensor) -> Point:
    loss = torch.where(better, asked.answer.loss, held.loss)
    return Point(choose(better, asked.points, held.x), loss, torch.where(better, claimed, held.claimed), unsettled)


def _write(into: Point, rows: Tensor, held: Point, better: Tensor) -> None:
    rows = rows[better]
    for all_of_them, of_starts in zip(into, held, strict=True):
        all_of_them[rows] = of_starts[better]


class HighestLoss:
    """The point with the highest loss, for an attacker who learns nothing from the defended model (docs/judging.md, rule 1.3).

    Stopping when the bare backbone is fooled would make blind and transfer attacks weak and purifiers look strong.
    """

    together = True

    def __init__(self, clean: Batch) -> None:
        self.best = _nowhere(clean)

    def begin(self, clean: Batch, rows: Tensor) -> Point:  # noqa: ARG002
        """Nothing."""
        return _nowhere(clean)

    def consider(self, held: Point, asked: Asked) -> Point:
        """Holds the point with the higher loss; it is never claimed, since the loss is not that of the defended model."""
        better = asked.inside & ~(asked.answer.loss <= held.loss)
        return _replaced(held, better, asked, held.claimed, held.unsettled)

    def open(self, held: Point, asked: Asked) -> Tensor:  # noqa: ARG002
        """None: nobody leaves."""
        return held.unsettled

    def settle(self, held: Point, asked: Asked) -> tuple[Point, Tensor]:  # noqa: ARG002
        """Nobody leaves."""
        return held, held.unsettled

    def count(self, held: Point, rows: Tensor, fooled: Tensor) -> None:  # noqa: ARG002
        """Keeps the point with the higher loss."""
        _write(self.best, rows, held, ~(held.loss <= self.best.loss[rows]))

    def choose(self) -> Chosen:
        """The points with the highest loss."""
        return Chosen(self.best.x, self.best.loss, self.best.claimed)


class FirstFooled:
    """The first point that the judge finds fooled, else that with the highest loss, for a deterministic defence.

    The judge is shown what the attacker sees fooled; until then such a point is held, whatever comes. Where two logits are as good as
    equal the attack goes on: in a batch of another size, in which the point is judged in the end, it may be right again.
    """

    together = True

    def __init__(self, judge: Judge, clean: Batch) -> None:
        self.judge, self.best = judge, _nowhere(clean)

    def begin(self, clean: Batch, rows: Tensor) -> Point:  # noqa: ARG002
        """Nothing."""
        return _nowhere(clean)

    def consider(self, held: Point, asked: Asked) -> Point:
        """Holds the first claimed point, else the one with the higher loss."""
        wrong = asked.answer.logits.argmax(1) != asked.clean.y
        claimed = wrong & asked.inside
        # Of booleans `a >= b` is `a or not b`, and `a > b` is `a and not b`, in one operation.
        better = (wrong >= (asked.answer.loss <= held.loss)) & (asked.inside > held.unsettled)
        return _replaced(held, better, asked, claimed, held.unsettled | claimed)

    def open(self, held: Point, asked: Asked) -> Tensor:  # noqa: ARG002
        """Those that hold a claimed point which the judge has not seen."""
        return held.unsettled

    def settle(self, held: Point, asked: Asked) -> tuple[Point, Tensor]:
        """A sample is fooled when the judge finds that of a claimed point."""
        where = torch.nonzero(held.unsettled)[:, 0]
        shown = asked.clean.at(where)
        fooled = torch.zeros_like(held.unsettled)
        logits = self.judge.logits(held.x[where], shown, "select", torch.zeros_like(where[:1]))[:, 0]
        fooled[where] = margin(logits, shown.y) > SURELY * logits.abs().amax(1)
        return held._replace(unsettled=torch.zeros_like(fooled)), fooled

    def count(self, held: Point, rows: Tensor, fooled: Tensor) -> None:
        """Keeps a point that fools, else the one with the higher loss."""
        _write(self.best, rows, held, fooled | ~(held.loss <= self.best.loss[rows]))

    def choose(self) -> Chosen:
        """The points."""
        return Chosen(self.best.x, self.best.loss, self.best.claimed)
