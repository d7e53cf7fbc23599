"""The driver: the one loop of all our own attacks.

It asks the oracle, calls `update`, lets samples leave and refills the batch. Early exit, compaction, restarts and the count of queries are
written once, here.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rbench.engine.kept import Asked, Kept
from rbench.engine.oracle import Oracle
from rbench.threat.attack import IterativeAttack
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise
from rbench.threat.query import Answer

REFILL_SHARE = 0.1
"""Share of the batch that must be free before new samples enter it: few refills, and a batch that stays nearly full."""


@dataclass
class Proposals:
    """What an attack proposes to the judge, per sample, and what was counted on the way."""

    x: Tensor  # [N, C, H, W] the best point seen
    loss_first: Tensor  # [N] loss of the first query
    loss_last: Tensor  # [N] loss at the best point seen
    queries: Tensor  # [N] int64
    zero_gradients: Tensor  # [N] int64 queries whose gradient was all zero
    zero_at_start: Tensor  # [N] bool
    passed_by: Tensor  # [N] bool: third-party code evaluated a fooled point of the ball, whatever it returned
    claimed: Tensor  # [N] bool: the attacker's own draws see the point fooled


def nothing_yet(x: Tensor) -> Proposals:
    """The clean images [N, C, H, W], before anything was asked about them."""
    unknown = torch.full((len(x),), torch.nan, device=x.device)
    none = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    return Proposals(x.clone(), unknown, unknown.clone(), none, none.clone(), none.bool(), none.bool(), none.bool())


@dataclass
class _Slots:
    """The active batch: row b of every tensor belongs to sample `index[b]`."""

    index: Tensor  # [B] row in the problem
    restart: Tensor  # [B]
    step: Tensor  # [B] updates done in this restart
    state: Any

    def keep(self, mask: Tensor) -> "_Slots":
        return _Slots(self.index[mask], self.restart[mask], self.step[mask], select_rows(self.state, mask))

    def extend(self, more: "_Slots") -> "_Slots":
        join = torch.cat
        return _Slots(
            join([self.index, more.index]),
            join([self.restart, more.restart]),
            join([self.step, more.step]),
            join_rows(self.state, more.state),
        )


def select_rows(state: Any, mask: Tensor) -> Any:
    """The rows of a state, a NamedTuple whose tensors and balls have the batch as first axis."""
    return type(state)(*(part.at(mask) if isinstance(part, Ball) else part[mask] for part in state))


def join_rows(first: Any, second: Any) -> Any:
    """Two states as one, the rows of the second after those of the first."""
    pairs = zip(first, second, strict=True)
    return type(first)(*(a.joined(b) if isinstance(a, Ball) else torch.cat([a, b]) for a, b in pairs))


class Driver:
    """Runs one attack on one set of samples.

    Args:
        attack: the pair of functions.
        oracle: what the attack may ask. For a blind or transfer attack it is not the defended model.
        ball: with one radius.
        noise: the root of the cell's randomness.
        batch_size: slots of the active batch.
        on_done: called with the number of samples that have just been finished.
    """

    def __init__(
        self,
        attack: IterativeAttack,
        oracle: Oracle,
        ball: Ball,
        noise: Noise,
        batch_size: int,
        *,
        on_done: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.attack = attack
        self.oracle = oracle
        self.ball_of_all = ball
        self.noise = noise
        self.batch_size = batch_size
        self.on_done = on_done

    def run(self, clean: Batch, attacked: Tensor, kept: Kept) -> Proposals:
        """Attacks the samples.

        Args:
            clean: N samples.
            attacked: bool [N] those to attack; the others are left alone.
            kept: what is kept of the points asked about, and who may leave.
        """
        self.clean, self.ball, self.kept = clean, self.ball_of_all.of(clean.x), kept
        self.out = nothing_yet(clean.x)
        self.targets = clean.y.new_zeros(len(clean), self.attack.targets)
        waiting = torch.nonzero(attacked)[:, 0].tolist()
        self.on_done(len(clean) - len(waiting))
        queue = deque((index, 0) for index in waiting)
        slots: _Slots | None = None
        while queue or slots is not None:
            slots = self._refill(slots, queue)
            slots = self._advance(slots, queue)
        chosen = kept.choose()
        self.out.x, self.out.loss_last, self.out.claimed = chosen.x, chosen.loss, chosen.claimed
        return self.out

    def _refill(self, slots: _Slots | None, queue: deque[tuple[int, int]]) -> _Slots:
        free = self.batch_size - (0 if slots is None else len(slots.index))
        if slots is not None and (not queue or free < REFILL_SHARE * self.batch_size):
            return slots
        taken = [queue.popleft() for _ in range(min(free, len(queue)))]
        for restart in sorted({r for _, r in taken}):
            entered = self._enter([i for i, r in taken if r == restart], restart)
            slots = entered if slots is None else slots.extend(entered)
        assert slots is not None
        return slots

    def _enter(self, rows: list[int], restart: int) -> _Slots:
        index = torch.tensor(rows, device=self.clean.device)
        if restart == 0 and self.attack.targets:
            self.targets[index] = self._likeliest(index)
        clean = self.clean.at(index)
        noise = self.noise.of("attack", clean.ids, clean.device, draw=restart)
        state = self.attack.init(clean.x, clean.y, self.ball.at(index), noise)
        return _Slots(index, torch.full_like(index, restart), torch.zeros_like(index), state)

    def _likeliest(self, index: Tensor) -> Tensor:
        """The wrong classes that the oracle finds likeliest for the clean images [B, targets], best first; a query each."""
        clean, calls = self.clean.at(index), self.out.queries[index]
        logits = self.oracle.logits(clean, calls, "margin").logits
        self.out.queries[index] = calls + 1
        return logits.scatter(1, clean.y[:, None], -torch.inf).topk(self.attack.targets, dim=1).indices

    def _advance(self, slots: _Slots, queue: deque[tuple[int, int]]) -> _Slots | None:
        """One query of every active sample; returns the slots that go on."""
        last = slots.step >= self.attack.steps
        if last.any():
            ending = slots.keep(last)
            answer = self._ask(ending, gradient=False)
            leaves = self._consider(ending, answer)
            self._leave(ending, leaves, queue)
            slots = slots.keep(~last)
        if not len(slots.index):
            return None
        answer = self._ask(slots, gradient=self.attack.asks_gradient)
        leaves = self._consider(slots, answer)
        if leaves.any():
            self.on_done(int(leaves.sum()))
            stay = ~leaves
            slots = slots.keep(stay)
            if not len(slots.index):
                return None
            kept = None if answer.gradient is None else answer.gradient[stay]
            answer = Answer(answer.logits[stay], answer.loss[stay], kept)
        slots.state = self.attack.update(slots.state, answer)
        slots.step = slots.step + 1
        return slots

    def _leave(self, ending: _Slots, leaves: Tensor, queue: deque[tuple[int, int]]) -> None:
        again = ~leaves & (ending.restart + 1 < self.attack.runs)
        restarts = zip(ending.index[again].tolist(), ending.restart[again].tolist(), strict=True)
        queue.extend((index, restart + 1) for index, restart in restarts)
        self.on_done(int((~again).sum()))

    def _ask(self, slots: _Slots, *, gradient: bool) -> Answer:
        index = slots.index
        clean, calls = self.clean.at(index), self.out.queries[index]
        ask = self.oracle.gradient if gradient else self.oracle.logits
        target = self.targets[index, slots.restart % self.attack.targets] if self.attack.targets else None
        answer = ask(clean.of(slots.state.x), calls, self.attack.loss, clean.x, target)
        first = (slots.restart == 0) & (slots.step == 0)
        self.out.loss_first[index[first]] = answer.loss[first]
        if answer.gradient is not None:
            zero = (answer.gradient == 0).flatten(1).all(1)
            self.out.zero_gradients[index] += zero.long()
            self.out.zero_at_start[index[first]] = zero[first]
        self.out.queries[index] = calls + 1
        return answer

    def _consider(self, slots: _Slots, answer: Answer) -> Tensor:
        """Shows the points to the rule of what is kept; returns which samples leave, [B] bool."""
        points, queries = slots.state.x.detach(), self.out.queries[slots.index]
        return self.kept.consider(Asked(slots.index, points, queries, self.attack.inside(slots.state), answer))
