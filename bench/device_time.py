"""What an attack does on a GPU: how often a step waits for it, and how much of the time it works."""

import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from bench.attacks import BATCH, attacked, own, readied
from bench.budgets import Budget
from bench.models import Model
from rbench.engine.driver import LOOKS
from rbench.purifiers.identity import Identity
from rbench.threat.batch import Batch

WAITS = (
    "cudaStreamSynchronize",
    "cudaDeviceSynchronize",
    "cudaEventSynchronize",
    "hipStreamSynchronize",
    "hipDeviceSynchronize",
)
"""Calls of the runtime that wait for the device."""
EDGES = 24
"""Waits at the beginning and at the end of an attack, which do not grow with its steps."""
HARDLY = 1e-6
"""A radius at which nobody is fooled."""


def device_clock() -> float:
    """Seconds on the wall, once the device has done all it was given."""
    torch.cuda.synchronize()
    return time.perf_counter()


def on_device(model: Model, device: torch.device) -> Model:
    """The model and its images on a device."""
    clean = Batch(*(part.to(device) for part in (model.clean.x, model.clean.y, model.clean.ids)))
    purifier = model.purifier if isinstance(model.purifier, Identity) else model.purifier.to(device)
    return Model(model.name, purifier, model.backbone.to(device), clean, model.note)


def waits(events: Iterable[Any]) -> int:
    """How often the host waited, in the averages of a profile."""
    return sum(event.count for event in events if event.key in WAITS)


def per_step(short: int, long: int, steps: tuple[int, int]) -> float:
    """Waits a step, from two runs of different length, so that beginning and end do not count."""
    return (long - short) / (steps[1] - steps[0])


def profiled(work: Callable[[], object]) -> tuple[int, float]:
    """Waits, and the share of the time on the wall in which kernels were at work."""
    work()  # what is made once is made
    start = device_clock()
    work()
    wall = device_clock() - start
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        work()
    averages = seen.key_averages()
    busy = sum(
        event.self_device_time_total for event in averages if event.device_type == torch.autograd.DeviceType.CUDA
    )
    return waits(averages), busy / 1e6 / wall


def measured(model: Model, attack: str) -> dict[str, Any]:
    """Waits a step, and utilisation, of an attack that everybody survives, on one batch, so that a step is one of all images.

    Args:
        model: on the device.
        attack: its name.
    """
    model = model.first(BATCH)
    steps, counts, busy = (4 * LOOKS, 12 * LOOKS), list[int](), list[float]()
    for many in steps:
        budget = Budget(pgd=many, steps=many, targets=1, queries=many)
        setup = readied(model, own(attack, budget), HARDLY)
        count, share = profiled(lambda setup=setup: attacked(setup, model.clean))
        counts.append(count)
        busy.append(share)
    asked = 2 if attack == "fab-t" else 1  # a step of FAB asks twice
    return {
        "attack": attack,
        "steps": steps[1],
        "waits": counts[1],
        "waits a query": per_step(*counts, steps) / asked,
        "bar": 1 / LOOKS,
        "kernels at work": statistics.median(busy),
        "images": len(model.clean),
    }
