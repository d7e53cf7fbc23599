"""Workers on the nodes of a Ray cluster: the same tasks, one actor a place; a node that is gone costs the spans that it had."""

import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rbench.allocator import keep_freed_memory
from rbench.engine.devices import resolve_device
from rbench.engine.evaluation import Evaluated
from rbench.engine.precision import use_full_float32
from rbench.errors import MissingError, RbenchError
from rbench.own_code import Known, known, take
from rbench.results.store import RunFolder
from rbench.running.components import Components
from rbench.running.executors import Lost, OnDone, Terms, shelf_of
from rbench.running.tasks import Answer, Attack, Conclude, Task
from rbench.running.worker import Worker, evaluated_of


class RayActor:
    """A worker on a node.

    Args:
        device: where its models live.
        terms: how it works.
        folder: the working directory of the coordinator, where relative paths of a suite begin; used where it is there too.
        told: what the coordinator knows and trusts of code of the user's own.
    """

    def __init__(self, device: str, terms: Terms, folder: str, told: Known) -> None:
        import os

        import torch

        with contextlib.suppress(OSError):
            os.chdir(folder)
        take(told)
        keep_freed_memory()
        torch.set_num_threads(terms.threads)
        use_full_float32()
        self.worker = Worker(Components(resolve_device(device), shelf_of(terms)), terms.images, terms.batch_size)

    def hello(self) -> None:
        """Answers once the actor runs."""

    def do(self, task: Task, parts: Sequence[Evaluated] | None) -> Answer | RbenchError:
        """What comes of a task; see `Worker.do`.

        Args:
            task: what to do.
            parts: for a conclusion the finished samples, since the run folder lies with the coordinator.
        """
        try:
            return self.worker.do(task, lambda count: None, parts)
        except RbenchError as error:
            return error


class RayWorkers:
    """An actor for each place.

    Args:
        count: how many.
        device: of each, as on the node: `cpu` or `cuda`, where Ray shows each actor one GPU.
        terms: how they work.
        address: of the cluster; None starts one on this machine.
    """

    def __init__(self, count: int, device: str, terms: Terms, address: str | None = None) -> None:
        try:
            import ray
        except ModuleNotFoundError:
            raise MissingError("--executor ray needs the package ray", remedy="pip install 'rbench[ray]'") from None
        self.ray: Any = ray
        self.own = not ray.is_initialized()
        if self.own:
            ray.init(address=address, log_to_driver=False, include_dashboard=False)
        gpus = 1 if device.startswith("cuda") else 0
        self.make = ray.remote(RayActor).options(num_cpus=terms.threads, num_gpus=gpus).remote
        self.given = (device, terms, str(Path.cwd()), known())
        self.actors: list[Any] = [None] * count
        self.begun: dict[Any, int] = {}
        self.at_work: dict[Any, tuple[int, Task]] = {}
        self.terms = terms
        self.began: dict[Any, float] = {}
        for place in range(count):
            self._begin(place)

    def _begin(self, place: int) -> None:
        self.actors[place] = self.make(*self.given)
        self.begun[self.actors[place].hello.remote()] = place

    @property
    def places(self) -> int:
        """How many there are."""
        return len(self.actors)

    def ready(self, place: int) -> bool:
        """Whether the actor runs: where no node has room for it, others do its work."""
        return place not in self.begun.values()

    def start(self, place: int, task: Task) -> None:
        """Sends the task, a conclusion with the finished samples."""
        parts = evaluated_of(RunFolder(task.root), task.cell) if isinstance(task, Conclude) else None
        answer = self.actors[place].do.remote(task, parts)
        self.at_work[answer], self.began[answer] = (place, task), time.monotonic()

    def next(self, on_done: OnDone) -> tuple[int, Answer | Lost | None]:
        """Waits for the next answer; see `Executor`."""
        answered = list[Any]()
        while not answered:
            overdue = [answer for answer in self.at_work if self._left(answer) <= 0]
            if overdue:
                return self._ended(overdue[0])
            patience = None if self.terms.timeout is None else min(map(self._left, self.at_work), default=None)
            answered, _ = self.ray.wait([*self.at_work, *self.begun], num_returns=1, timeout=patience)
        ready = answered[0]
        if ready in self.begun:
            return self._began(ready), None
        place, task = self.at_work.pop(ready)
        try:
            answer = self.ray.get(ready)
        except self.ray.exceptions.RayActorError as error:
            self._begin(place)
            return place, Lost(task, f"is gone ({type(error).__name__})")
        if isinstance(answer, RbenchError):
            raise answer
        if isinstance(task, Attack):
            on_done(task, task.stop - task.start)
        return place, answer

    def _left(self, answer: Any) -> float:
        """Seconds that an actor may still take for a task."""
        return math.inf if self.terms.timeout is None else self.began[answer] + self.terms.timeout - time.monotonic()

    def _ended(self, answer: Any) -> tuple[int, Lost]:
        place, task = self.at_work.pop(answer)
        self.ray.kill(self.actors[place])
        self._begin(place)
        return place, Lost(task, self.terms.overdue, hopeless=True)

    def _began(self, hello: Any) -> int:
        place = self.begun.pop(hello)
        try:
            self.ray.get(hello)
        except self.ray.exceptions.RayActorError:  # its node was gone before it ran
            self._begin(place)
        return place

    def close(self) -> None:
        """Ends the actors, and the cluster if it was started here."""
        for actor in self.actors:
            with contextlib.suppress(Exception):
                self.ray.kill(actor)
        if self.own:
            self.ray.shutdown()
