"""Workers in processes of their own: one that is killed, hangs or runs out of memory costs its span and nothing else."""

import math
import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from rbench.engine.devices import resolve_device
from rbench.engine.precision import use_full_float32
from rbench.errors import RbenchError
from rbench.fresh_process import begin
from rbench.running.components import Components
from rbench.running.executors import Lost, OnDone, Terms, shelf_of
from rbench.running.tasks import Answer, Failed, Task
from rbench.running.worker import Worker

BEAT = 5.0
"""Seconds from one sign of life of a worker to the next."""
HUNG_AFTER = 900.0
"""Seconds without a finished sample and without processor time after which a worker counts as hung."""
TAKEN_UP = "taken up"
"""What a worker says when it begins a task: what it loads before its first one is no part of it."""
IDLE_SHARE = 0.01
"""Share of a processor that a worker without work uses at most: a sign of life takes a millisecond, and tens of them where the system has
moved idle memory out of the way meanwhile."""


def now() -> float:
    """Seconds of a clock that never goes back."""
    return time.monotonic()


@dataclass
class _Process:
    device: str
    process: BaseProcess
    connection: Connection
    task: Task | None = None
    moved: float = field(default_factory=lambda: now())  # when it last did something
    began: float | None = None  # when it took its task up
    used: float = 0.0  # processor seconds by then


class Processes:
    """A process for each device named.

    Args:
        devices: one for each worker, e.g. `cpu` twice.
        terms: how they work.
        hung_after: see `HUNG_AFTER`.
    """

    def __init__(self, devices: Sequence[str], terms: Terms, *, hung_after: float = HUNG_AFTER) -> None:
        self.terms, self.hung_after = terms, hung_after
        self.workers = [self._begun(device) for device in devices]

    @property
    def places(self) -> int:
        """How many there are."""
        return len(self.workers)

    def ready(self, place: int) -> bool:  # noqa: ARG002
        """Always: a process that has just begun takes its first task from the pipe."""
        return True

    def start(self, place: int, task: Task) -> None:
        """Sends the task; one whose process is gone is found out by `next`."""
        worker = self.workers[place]
        worker.task, worker.moved, worker.began = task, now(), None
        with suppress(OSError):
            worker.connection.send(task)

    def next(self, on_done: OnDone) -> tuple[int, Answer | Lost]:
        """Waits for the next answer; see `Executor`."""
        while True:
            busy = {worker.connection: place for place, worker in enumerate(self.workers) if worker.task is not None}
            for connection in wait(list(busy), timeout=self._patience()):
                place = busy[connection]  # type: ignore[index]
                try:
                    message = self.workers[place].connection.recv()
                except (EOFError, OSError):
                    return place, self._lost(place, None)
                answer = self._heard(self.workers[place], message, on_done)
                if answer is not None:
                    return place, answer
            for place, worker in enumerate(self.workers):
                if worker.task is not None and now() - worker.moved > self.hung_after:
                    return place, self._lost(place, f"did nothing for {self.hung_after:.0f} s")
                if worker.task is not None and self._left(worker) <= 0:
                    return place, replace(self._lost(place, self.terms.overdue), hopeless=True)

    def close(self) -> None:
        """Kills all of them: they write nothing."""
        for worker in self.workers:
            worker.process.kill()  # all before any is waited for, so that a signal ends many workers as soon as one
        for worker in self.workers:
            _kill(worker)

    def _left(self, worker: _Process) -> float:
        """Seconds that a worker may still take for its task."""
        if self.terms.timeout is None or worker.began is None:
            return math.inf
        return worker.began + self.terms.timeout - now()

    def _patience(self) -> float:
        return max(0.0, min([BEAT, *(self._left(worker) for worker in self.workers if worker.task is not None)]))

    def _heard(self, worker: _Process, message: Any, on_done: OnDone) -> Answer | None:
        assert worker.task is not None
        if isinstance(message, RbenchError):
            raise message
        if isinstance(message, Answer):
            worker.task = None
            return message
        if message == TAKEN_UP:
            worker.moved = worker.began = now()
        elif isinstance(message, int):
            worker.moved = now()
            on_done(worker.task, message)
        else:
            if message - worker.used > IDLE_SHARE * BEAT:
                worker.moved = now()
            worker.used = message  # signs of life cost something themselves, which must not add up to work
        return None

    def _lost(self, place: int, how: str | None) -> Lost:
        worker = self.workers[place]
        task = worker.task
        assert task is not None
        _kill(worker)
        self.workers[place] = self._begun(worker.device)
        return Lost(task, how or _end_of(worker.process.exitcode))

    def _begun(self, device: str) -> _Process:
        process, connection = begin(serve, device, self.terms)
        return _Process(device, process, connection)


def _kill(worker: _Process) -> None:
    worker.process.join(2.0)  # it may be ending by itself, with an exit code that says why
    worker.process.kill()
    worker.process.join()
    worker.connection.close()


def _end_of(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"was killed ({name}{'; out of memory?' if name == 'SIGKILL' else ''})"
    return f"ended with exit code {code}"


def serve(connection: Connection, device: str, terms: Terms) -> None:
    """A worker process: does tasks until its coordinator is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the coordinator decides
    torch.set_num_threads(terms.threads)
    use_full_float32()
    guard = threading.Lock()

    def say(message: Any) -> None:
        with guard:
            connection.send(message)

    threading.Thread(target=_beat, args=(say,), daemon=True).start()
    worker = Worker(Components(resolve_device(device), shelf_of(terms)), terms.images, terms.batch_size)
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            os._exit(0)
        say(TAKEN_UP)
        try:
            answer = worker.do(task, say)
        except RbenchError as error:
            say(error)
            continue
        say(answer)
        if isinstance(answer.result, Failed) and not _usable(worker.components.device):
            os._exit(1)  # another process begins with a device that answers


def _usable(device: torch.device) -> bool:
    """Whether a device still answers: an assertion that fails in a kernel of CUDA leaves it unusable for the process."""
    if device.type == "cuda":
        try:
            torch.cuda.synchronize(device)
        except RuntimeError:
            return False
    return True


def _beat(say: Any) -> None:
    while True:
        time.sleep(BEAT)
        with suppress(OSError):
            say(time.process_time())
