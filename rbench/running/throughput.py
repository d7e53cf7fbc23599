"""How fast a defended model answers, and with how many images at once it is fastest."""

import time
from collections.abc import Callable

import numpy as np
import torch

from rbench.engine.defended import DefendedModel
from rbench.process_state import kept, users_own
from rbench.running.components import Components, order, read_batch
from rbench.suite.cell import Cell
from rbench.threat.batch import Batch
from rbench.threat.losses import margin
from rbench.threat.noise import Noise, SampleNoise

USUAL = 64
"""Images at once where nothing is measured."""
LEAST, MOST = 16, 512
BATCH_BYTES = 32 * 2**20
"""Most bytes of images at once on a CPU: an attack keeps about ten such batches beside what the model needs."""
SPANS = 4
"""A cell has at least so many batches, which are two spans, so that workers can share the last cells of a run."""
GAIN = 1.05
"""A larger batch is worth its memory from this throughput on, relative to that of a smaller one."""
SECONDS = 1.0
"""What trying takes, about, beside a first small pass."""
FEW, REPEATS = 2, 2

Seconds = Callable[[int], float]
"""How long a pass through the model with so many images takes, forward and backward."""


def fastest(seconds: Seconds, most: int = MOST) -> int:
    """The smallest batch size from 16 on whose throughput is within 5 % of the best that was seen.

    Sizes are doubled until twice in a row nothing is gained, the second is over or memory is short. Each is timed twice and the better time
    counts, since other work on the machine only ever adds to it; one size alone that seems no faster ends nothing. Where the second was too
    short to see throughput stop growing, the usual size is as good as any.

    Args:
        seconds: times a pass; may raise `torch.OutOfMemoryError`.
        most: the largest size to choose.
    """
    rates, spent, expected = dict[int, float](), 0.0, 0.0
    try:
        seconds(FEW)  # what a first pass loads is loaded once
        size, before = FEW, 0.0
        while size <= most and spent + expected <= SECONDS and not _settled(list(rates.values())):
            times = [seconds(size) for _ in range(REPEATS)]
            rates[size] = size / max(min(times), 1e-9)
            growth = sum(times) / before if before else 2.0
            before, spent, expected = sum(times), spent + sum(times), sum(times) * max(1.0, growth)
            size *= 2
    except torch.OutOfMemoryError:
        most = max(1, max([FEW, *rates]) // 2)  # an attack keeps more than a pass does
        rates = {size: rate for size, rate in rates.items() if size <= most}
    seen = list(rates.values())
    if spent + expected > SECONDS and (len(seen) < 2 or seen[-1] >= GAIN * seen[-2]):
        return min(most, max(USUAL, *rates))
    best = max(seen, default=0.0)
    good = [size for size, rate in rates.items() if size >= LEAST and rate * GAIN >= best]
    return min(most, min(good, default=LEAST))


def _settled(rates: list[float]) -> bool:
    return len(rates) > REPEATS and max(rates[-2:]) < GAIN * max(rates[:-2])


def passes(model: DefendedModel, batch: Batch) -> Seconds:
    """Times passes through a defended model: forward, and backward as far as there is a graph, else through the backbone alone.

    Args:
        model: the defended model; what is asked changes its meter and whatever else its code keeps.
        batch: images, which are repeated.
    """

    def ask(shown: Batch, drawn: SampleNoise) -> None:
        point = shown.x.clone().requires_grad_()
        images = (model.purify_checkpointed if model.staged else model.purify)(point, drawn)
        if not images.requires_grad:
            point = images = images.detach().requires_grad_()
        logits = model.classify(images)
        if logits.requires_grad:
            torch.autograd.grad(margin(logits, shown.y).sum(), point, allow_unused=True)

    return _timed(batch, torch.enable_grad()(ask))


def answers(model: DefendedModel, batch: Batch) -> Seconds:
    """The same for forward passes alone."""
    return _timed(batch, torch.no_grad()(lambda shown, drawn: model(shown.x, drawn)))


def _timed(batch: Batch, ask: Callable[[Batch, SampleNoise], object]) -> Seconds:
    noise = Noise(0)
    # What other processes do meanwhile is no part of processor time; with several threads only the clock tells what they are good for.
    alone = batch.device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter

    def seconds(size: int) -> float:
        shown = batch.at(torch.arange(size, device=batch.device) % len(batch))
        drawn = noise.of("defence", shown.ids, shown.device)
        _wait(batch.device)
        began = clock()
        ask(shown, drawn)
        _wait(batch.device)
        return clock() - began

    return seconds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def batch_size_for(cell: Cell, components: Components) -> int:
    """How many images at once suit the defended model of a cell.

    The model that was tried is dropped: whatever it keeps of the passes reaches no cell. One that fails has the usual size, and the cell
    says why.

    Args:
        cell: the cell.
        components: makes the model.
    """
    try:
        loaded = components.of(cell)
        ids = order(loaded.dataset, cell.slice)
        with kept(loaded.model.owner):
            batch = read_batch(loaded.dataset, ids[:LEAST], components.device)
            return fastest(passes(loaded.model, batch), largest(len(ids), batch))
    except BaseException as error:
        if users_own(error):
            raise
        return USUAL
    finally:
        components.forget_models()


def largest(samples: int, batch: Batch) -> int:
    """The largest batch size for so many samples of such images."""
    most = max(USUAL, samples // SPANS)
    if batch.device.type == "cpu":
        most = min(most, max(LEAST, BATCH_BYTES // int(np.prod(batch.x.shape[1:]) * batch.x.element_size())))
    return min(most, MOST)
