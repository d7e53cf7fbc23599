"""The training loop. Every step draws from a generator of its own, so a training that was stopped and goes on gives the same weights."""

import hashlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from rbench.errors import InputError, Interrupted
from rbench.fit.average import Average
from rbench.fit.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from rbench.fit.data import Samples, augmented
from rbench.fit.recipe import Training
from rbench.fit.stopping import signals
from rbench.objectives.types import Terms

Loss = Callable[[Tensor, Tensor | None, Generator], tuple[Tensor, Terms]]
"""(images, labels, generator) -> the scalar to minimise, and scalars for the curve."""


@dataclass(frozen=True)
class Task:
    """What is trained, and for what.

    Attributes:
        network: changed in place.
        loss: of a batch.
    """

    network: nn.Module
    loss: Loss


@dataclass(frozen=True)
class Progress:
    """A step that is done; given to the caller's `on_progress`.

    Attributes:
        step: steps done, those of an earlier start included.
        total: steps of the whole training.
        epoch: the epoch at work, from 1.
        epochs: how many there are.
        entry: the curve's entry of the epoch, if it has just ended.
    """

    step: int
    total: int
    epoch: int
    epochs: int
    entry: dict[str, Any] | None = None


@dataclass
class Course:
    """How far a training has come."""

    step: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    curve: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """Where a training computes and where it keeps its checkpoint.

    Attributes:
        device: on which all of it runs.
        checkpoint: the file.
        fingerprint: of all that decides the result.
        every: seconds between checkpoints.
    """

    device: torch.device
    checkpoint: Path
    fingerprint: str
    every: float = 60.0


def train(
    task: Task,
    samples: Samples,
    held_out: Samples,
    training: Training,
    place: Place,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Course:
    """Trains a network in place, from its checkpoint on if there is one.

    Args:
        task: the network and its loss.
        samples: to train on.
        held_out: to measure on after every epoch; may be empty.
        training: epochs, rate, seed, ...
        place: device and checkpoint.
        on_progress: called after every step.

    Raises:
        InputError: the loss is no longer finite, or the checkpoint is of another training.
        Interrupted: Ctrl-C or SIGTERM; the step was finished and kept.
    """
    network = task.network.to(place.device)
    optimiser = torch.optim.AdamW(network.parameters(), training.learning_rate, weight_decay=training.weight_decay)
    size = min(training.batch_size, len(samples))
    per_epoch = len(samples) // size
    total = training.epochs * per_epoch
    average = Average(network, training.ema)
    course = _resumed(place, network, optimiser, average)
    saved = time.monotonic()
    with signals() as received, _repeatable():
        while course.step < total:
            began = time.monotonic()
            epoch, batch = divmod(course.step, per_epoch)
            order = _order(len(samples), training.seed, epoch)[batch * size : (batch + 1) * size]
            _step(task, samples.batch(order, place.device), optimiser, training, course, total)
            average.update(course.step)
            course.step += 1
            entry = None
            if course.step % per_epoch == 0:
                with average.worn():
                    entry = _entry(task, held_out, training, course, epoch, per_epoch, place.device)
                course.curve.append(entry)
                course.sums = {}
            course.seconds += time.monotonic() - began
            on_progress(Progress(course.step, total, epoch + 1, training.epochs, entry))
            number = received()
            if number or course.step == total or time.monotonic() - saved >= place.every:
                _save(place, network, optimiser, course, average)
                saved = time.monotonic()
            if number and course.step < total:
                name, reached = signal.Signals(number).name, f"step {course.step} of {total}"
                raise Interrupted(f"interrupted by {name} after {reached}; run again to go on", 128 + number)
    average.put_on()
    return course


def _step(
    task: Task,
    batch: tuple[Tensor, Tensor | None],
    optimiser: torch.optim.Optimizer,
    training: Training,
    course: Course,
    total: int,
) -> None:
    images, labels = batch
    generator = seeded(images.device, training.seed, "step", course.step)
    for group in optimiser.param_groups:
        group["lr"] = training.learning_rate * pace(course.step, total, training.warmup)
    task.network.train()
    with _precision(images.device, training):
        loss, terms = task.loss(augmented(images, training.augment, generator), labels, generator)
    if not bool(torch.isfinite(loss)):
        raise InputError(
            f"the loss is {float(loss.detach())} at step {course.step + 1}",
            place="training.learning_rate",
            remedy=f"lower the rate (now {training.learning_rate:g})",
        )
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()
    for name, term in {"loss": loss, **terms}.items():
        course.sums[name] = course.sums.get(name, 0.0) + float(term.detach())


def _entry(
    task: Task, held_out: Samples, training: Training, course: Course, epoch: int, steps: int, device: torch.device
) -> dict[str, Any]:
    """One epoch of the curve: the mean of every term, while training and on what was held out."""
    entry: dict[str, Any] = {
        "epoch": epoch + 1,
        **{name: round(value / steps, 6) for name, value in course.sums.items()},
    }
    if len(held_out):
        entry["held_out"] = {name: round(value, 6) for name, value in measure(task, held_out, training, device).items()}
    return entry


def measure(task: Task, samples: Samples, training: Training, device: torch.device) -> dict[str, float]:
    """The mean of every term of the loss over some samples, in eval mode, with the same noise whenever it is called."""
    task.network.eval()
    generator = seeded(device, training.seed, "held out", 0)
    sums: dict[str, float] = {}
    for places in torch.split(torch.arange(len(samples)), training.batch_size):
        with _precision(device, training):
            loss, terms = task.loss(*samples.batch(places, device), generator)
        for name, term in {"loss": loss, **terms}.items():
            sums[name] = sums.get(name, 0.0) + float(term.detach()) * len(places)
    return {name: value / len(samples) for name, value in sums.items()}


def pace(step: int, total: int, warmup: float) -> float:
    """The learning rate of a step as a share of the highest: linear from 0 to 1, then half a cosine to 0 (Smith and Topin 2018)."""
    rising = warmup * total
    if step < rising:
        return (step + 1) / (rising + 1)
    return (1 + math.cos(math.pi * (step - rising) / max(total - rising, 1))) / 2


def seeded(device: torch.device, seed: int, use: str, number: int) -> Generator:
    """A generator whose draws depend on these alone."""
    digest = hashlib.sha256(f"{seed} {use} {number}".encode()).digest()
    return Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))


def _order(count: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=seeded(torch.device("cpu"), seed, "order", epoch))


def _precision(device: torch.device, training: Training) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16) if training.precision == "bf16" else nullcontext()


@contextmanager
def _repeatable() -> Iterator[None]:
    """Selects, on a GPU, kernels that sum in the same order every time."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        yield


def _resumed(place: Place, network: nn.Module, optimiser: torch.optim.Optimizer, average: Average) -> Course:
    checkpoint = read_checkpoint(place.checkpoint, place.fingerprint)
    if checkpoint is None:
        return Course()
    network.load_state_dict(checkpoint.network)
    optimiser.load_state_dict(checkpoint.optimiser)
    average.load(checkpoint.average)
    return Course(checkpoint.step, checkpoint.seconds, dict(checkpoint.sums), list(checkpoint.curve))


def _save(place: Place, network: nn.Module, optimiser: torch.optim.Optimizer, course: Course, average: Average) -> None:
    state, steps = network.state_dict(), optimiser.state_dict()
    write_checkpoint(
        place.checkpoint,
        Checkpoint(
            place.fingerprint, course.step, state, steps, course.sums, course.curve, course.seconds, average.state
        ),
    )
