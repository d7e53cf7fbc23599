"""What an attack spends: passes against those that are needed (P), and time against that of the passes alone (O)."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from rbench.threat.attack import IterativeAttack

Clock = Callable[[], float]
"""Seconds that have passed; of the processor, unless the work is done elsewhere."""

WARM_UP, TRIES = 1, 3


class Counting(nn.Module):
    """A model that notes the size of each batch, and whether a gradient was wanted."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.seen = Counter[tuple[int, bool]]()

    def forward(self, x: Tensor) -> Tensor:
        """What the model returns."""
        self.seen[len(x), torch.is_grad_enabled() and x.requires_grad] += 1
        return self.model(x)

    def passes(self) -> int:
        """Forward and backward passes, in images."""
        return sum(size * (1 + gradient) * times for (size, gradient), times in self.seen.items())


def replayed(model: nn.Module, seen: Counter[tuple[int, bool]], x: Tensor, clock: Clock = time.process_time) -> float:
    """Seconds of the passes alone: of every size some are made, and count as often as that size was seen.

    Args:
        model: what was asked.
        seen: passes by the size of the batch and whether a gradient was wanted.
        x: images to fill the batches with.
        clock: see `Clock`.
    """
    total = 0.0
    for (size, gradient), times in seen.items():
        batch = x[torch.arange(size, device=x.device) % len(x)].clone()
        runs = [_pass(model, batch, clock, gradient=gradient) for _ in range(WARM_UP + TRIES)]
        total += times * statistics.median(runs[WARM_UP:])
    return total


def _pass(model: nn.Module, x: Tensor, clock: Clock, *, gradient: bool) -> float:
    start = clock()
    with torch.set_grad_enabled(gradient):
        point = x.detach().requires_grad_(gradient)
        logits = model(point)
        if gradient:
            torch.autograd.grad(logits.sum(), point)
    return clock() - start


def needed(attacks: Sequence[IterativeAttack], queries: int, classes: int, *, fooled: bool) -> int:
    """Passes that one sample needs: none after the query at which it is fooled, and that one without a gradient.

    Args:
        attacks: that run one after the other, as the number of classes allows them.
        queries: of the sample, over all attacks and starts.
        classes: width of the logits.
        fooled: whether the last of the queries found it fooled.
    """
    costs = []
    for attack in attacks:
        if len(costs) >= queries:
            break
        if attack.targets:
            costs.append(1)  # for the likeliest classes
        costs += _start(attack, classes) * attack.runs
    costs = costs[:queries]
    if fooled and costs:
        costs[-1] = 1
    return sum(costs)


def _start(attack: IterativeAttack, classes: int) -> list[int]:
    """Passes of every query of one start that fails."""
    of = {"gradient": 2, "logits": 1, "nearest": 2 * (classes - 1)}
    return [of[attack.asks[step % len(attack.asks)]] for step in range(attack.steps)] + [1]


def over(spent: float, least: float) -> float:
    """How many times what is least was spent; 1 where nothing is needed and nothing was spent."""
    return spent / least if least else (1.0 if not spent else float("inf"))


def median_ratio(above: Iterable[float], below: Iterable[float]) -> float:
    """The median over pairs of the first by the second: pairs were measured in turn, so a slow minute is in both."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))
