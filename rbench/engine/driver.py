"""The driver: the one loop of all our own attacks.

It asks the oracle, calls `update`, lets starts leave and refills the batch. Early exit, compaction, restarts and the count of queries are
written once, here. A step waits for the device only where it looks who is fooled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rbench.engine.kept import Asked, Kept
from rbench.engine.oracle import Oracle, refuse_non_finite
from rbench.engine.slots import Slots, Start, Tally
from rbench.engine.starts import Starts
from rbench.errors import CellFailed
from rbench.threat.attack import Asks, IterativeAttack
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise
from rbench.threat.query import Answer

REFILL_SHARE = 0.1
"""Share of the batch that must be free before new samples enter it: few refills, and a batch that stays nearly full."""
TAIL = 16
"""On a CPU, up to how many starts are active because those of one sample run together: larger batches cost as much an image."""
LOOKS = 8
"""On other devices, steps from one look at who is fooled to the next: looking waits for the device."""


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


def _points(slots: Slots) -> Tensor:
    """The points that the state of an attack wants to ask about.

    Raises:
        CellFailed: they are none, or of another shape or type than the images that it was given.
    """
    points, wanted = getattr(slots.state, "x", None), slots.clean.x
    if not isinstance(points, Tensor):
        found = type(slots.state).__name__ if points is None else f"x of type {type(points).__name__}"
        raise CellFailed(f"the attack's state has no tensor `x` to ask about ({found})")
    if points.shape != wanted.shape or points.dtype != wanted.dtype or points.device != wanted.device:
        found = f"{tuple(points.shape)} {points.dtype} on {points.device}"
        raise CellFailed(
            f"the attack asks about {found}, but was given {tuple(wanted.shape)} {wanted.dtype} on {wanted.device}"
        )
    return points


def pace_of(device: torch.device, batch_size: int) -> tuple[int, int]:
    """Steps from one look to the next, and up to how many starts are active because those of one sample run together."""
    return (1, min(TAIL, batch_size)) if device.type == "cpu" else (LOOKS, batch_size)


class Driver:
    """Runs one attack on one set of samples.

    Args:
        attack: the pair of functions.
        oracle: what the attack may ask. For a blind or transfer attack it is not the defended model.
        ball: with one radius.
        noise: the root of the cell's randomness.
        batch_size: slots of the active batch.
        on_done: called with the number of samples that have just been finished.
        pace: see `pace_of`.
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
        pace: Callable[[torch.device, int], tuple[int, int]] = pace_of,
    ) -> None:
        self.attack = attack
        self.oracle = oracle
        self.ball = ball
        self.noise = noise
        self.batch_size = batch_size
        self.on_done = on_done
        self.pace = pace

    def run(self, clean: Batch, attacked: Tensor, kept: Kept) -> Proposals:
        """Attacks the samples.

        Args:
            clean: N samples.
            attacked: bool [N] those to attack; the others are left alone.
            kept: what is kept of the points asked about, and who may leave.

        Raises:
            CellFailed: a logit is not finite.
        """
        self.clean, self.kept, self.out = clean, kept, nothing_yet(clean.x)
        self.looks, self.fill = self.pace(clean.device, self.batch_size)
        self.targets = clean.y.new_zeros(len(clean), self.attack.targets)
        rows = torch.nonzero(attacked)[:, 0].tolist()
        self.on_done(len(clean) - len(rows))
        self.starts = Starts(rows, self.attack.runs, together=kept.together)
        self.early: dict[Start, tuple[Slots, bool]] = {}  # what ended before a start that comes before it
        self.iteration, self.entered = 0, -1  # the latter: of the last first start
        slots = self._refilled(None)
        while slots is not None:
            slots = self._refilled(self._advanced(slots))
        chosen = kept.choose()
        self.out.x, self.out.loss_last, self.out.claimed = chosen.x, chosen.loss, chosen.claimed
        return self.out

    def _refilled(self, slots: Slots | None) -> Slots | None:
        # All that is active asks for the same, so what enters waits for the first of the attack's ways to ask.
        late = self.iteration % len(self.attack.asks)
        if slots is None:
            self.iteration += late and len(self.attack.asks) - late
        active = 0 if slots is None else len(slots)
        if slots is not None and (late or self.batch_size - active < REFILL_SHARE * self.batch_size):
            return slots
        taken = self.starts.take(self.batch_size - active, active, self.fill)
        for run in sorted({start.run for start in taken}):
            entered = self._entered([start for start in taken if start.run == run], run)
            slots = entered if slots is None else slots.joined(entered)
        return slots

    def _entered(self, starts: list[Start], run: int) -> Slots:
        rows = torch.tensor([start.row for start in starts], device=self.clean.device)
        clean = self.clean.at(rows)
        if run == 0:
            self.entered = self.iteration
        if run == 0 and self.attack.targets:
            self.targets[rows] = self._likeliest(clean)
        asked = (1 if self.attack.targets else 0) + run * (self.attack.steps + 1)  # of the sample, before this start
        tally = Tally(torch.full_like(rows, asked), torch.zeros_like(rows), clean.x.new_zeros(len(rows)))
        noise = self.noise.of("attack", clean.ids, clean.device, draw=run)
        state = self.attack.begin(run)(clean.x, clean.y, self.ball.at(rows).of(clean.x), noise)
        target = self.targets[rows, run % self.attack.targets] if self.attack.targets else None
        ends = [self.iteration + self.attack.steps] * len(starts)
        return Slots(starts, ends, rows, clean, target, tally, self.kept.begin(clean, rows), state)

    def _likeliest(self, clean: Batch) -> Tensor:
        """The wrong classes that the oracle finds likeliest for the clean images [B, targets], best first; a query each."""
        logits = self.oracle.logits(clean, torch.zeros_like(clean.y), "margin").logits
        refuse_non_finite(logits, clean.ids)
        return logits.scatter(1, clean.y[:, None], -torch.inf).topk(self.attack.targets, dim=1).indices

    def _advanced(self, slots: Slots) -> Slots | None:
        """One query of every active start; returns the slots that go on."""
        here, going = self.iteration, [place for place, end in enumerate(slots.ends) if end > self.iteration]
        self.iteration += 1
        if len(going) < len(slots):
            ending = slots.at([place for place, end in enumerate(slots.ends) if end <= here])
            asked = self._ask(ending, "logits")
            self._end(ending, self._look(ending, asked), list(range(len(ending))))
            # One that has just fooled a sample may have made others needless.
            slots = slots.at([place for place in going if not self.starts.needless(slots.starts[place])])
        if not len(slots):
            return None
        asked = self._ask(slots, self.attack.asks[here % len(self.attack.asks)])
        answer = asked.answer
        if self.iteration % self.looks == 0:
            fooled = self._look(slots, asked)
            if fooled is not None and fooled.any():
                left = torch.nonzero(fooled)[:, 0].tolist()
                self._end(slots, fooled, left)
                stay = [
                    place
                    for place in range(len(slots))
                    if place not in set(left) and not self.starts.needless(slots.starts[place])
                ]
                slots = slots.at(stay)
                if not stay:
                    return None
                where = torch.tensor(stay, device=slots.rows.device)
                gradient = None if answer.gradient is None else answer.gradient[where]
                answer = Answer(answer.logits[where], answer.loss[where], gradient)
        slots.state = self.attack.update(slots.state, answer)
        return slots

    def _ask(self, slots: Slots, what: Asks) -> Asked:
        clean, points, tally = slots.clean, _points(slots), slots.tally
        if what == "nearest":
            answer = self.oracle.nearest(clean.of(points), tally.queries, self.ball.norm)
        else:
            ask = self.oracle.gradient if what == "gradient" else self.oracle.logits
            answer = ask(clean.of(points), tally.queries, self.attack.loss, clean.x, slots.target)
        zero = None if answer.gradient is None else ~answer.gradient.flatten(1).any(1)
        if self.entered == self.iteration - 1:
            self._first_answers(slots, answer, zero)
        slots.tally = Tally(
            tally.queries + 1,
            tally.zero_gradients if zero is None else tally.zero_gradients + zero,
            tally.broken + (answer.logits - answer.logits).sum(1),
        )
        inside = self.attack.inside(slots.state)
        asked = Asked(slots.rows, clean, points.detach(), slots.tally.queries, inside, answer)
        slots.held = self.kept.consider(slots.held, asked)
        return asked

    def _first_answers(self, slots: Slots, answer: Answer, zero: Tensor | None) -> None:
        new = [
            place
            for place, (start, end) in enumerate(zip(slots.starts, slots.ends, strict=True))
            if start.run == 0 and end == self.entered + self.attack.steps
        ]
        where = torch.tensor(new, dtype=torch.int64, device=slots.rows.device)
        self.out.loss_first[slots.rows[where]] = answer.loss[where]
        if zero is not None:
            self.out.zero_at_start[slots.rows[where]] = zero[where]

    def _look(self, slots: Slots, asked: Asked) -> Tensor | None:
        """Which starts have fooled their sample, bool [B]; None where none has."""
        broken, unsettled = slots.tally.broken, self.kept.open(slots.held, asked)
        some_broken, some_open = torch.stack([broken.any(), unsettled.any()]).tolist()
        if some_broken:
            refuse_non_finite(broken[:, None], slots.clean.ids)
        if not some_open:
            return None
        slots.held, fooled = self.kept.settle(slots.held, asked)
        return fooled

    def _end(self, slots: Slots, fooled: Tensor | None, places: Sequence[int]) -> None:
        """Ends some starts: what they found counts now, or once those before them have ended."""
        hit = [False] * len(slots) if fooled is None else fooled.tolist()
        for place in places:
            self.starts.ended(slots.starts[place], fooled=hit[place])
        needed = [place for place in places if not self.starts.needless(slots.starts[place])]
        now = [place for place in needed if self.starts.counts(slots.starts[place])]
        for place in set(needed) - set(now):
            self.early[slots.starts[place]] = slots.at([place]), hit[place]
        self._count(slots.at(now), [hit[place] for place in now])
        for start in [slots.starts[place] for place in now]:
            following = Start(start.row, start.run + 1)
            while following in self.early:
                one, fooled_one = self.early.pop(following)
                if not self.starts.needless(following):
                    self._count(one, [fooled_one])
                following = Start(following.row, following.run + 1)

    def _count(self, slots: Slots, hit: list[bool]) -> None:
        if not hit:
            return
        self.kept.count(slots.held, slots.rows, torch.tensor(hit, dtype=torch.bool, device=slots.rows.device))
        self.out.queries[slots.rows] = slots.tally.queries
        self.out.zero_gradients[slots.rows] += slots.tally.zero_gradients
        self.on_done(sum([self.starts.count(start) for start in slots.starts]))
