"""How many workers there are, and threads."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from rbench.engine.devices import resolve_device
from rbench.errors import InputError
from rbench.suite.cell import Cell


def workers_for(asked: str, device: str, threads: int, cells: Sequence[Cell]) -> int:
    """How many workers a run has.

    Args:
        asked: a number, 0 for none but this process, or `auto` for as many as there are GPUs, or cores over threads; never more than there
            are cells.
        device: as given by the user.
        threads: of each worker.
        cells: those to run.

    Raises:
        InputError: neither a number from 0 nor `auto`.
    """
    if asked != "auto":
        if not (asked.isascii() and asked.isdecimal()):
            raise InputError("expected a number from 0, or auto", place="--workers", found=repr(asked))
        return int(asked)
    place = resolve_device(device)
    if place.type == "cuda":
        count = 1 if place.index is not None else torch.cuda.device_count()
    else:
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        count //= threads
    return max(1, min(count, len(cells)))


@contextmanager
def threads_of(count: int) -> Iterator[None]:
    """A block in which torch has so many threads on the CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
