"""Who does the tasks of a run: this process, or several others."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rbench.running.measured import Shelf
from rbench.running.tasks import Answer, Task
from rbench.running.worker import Worker

OnDone = Callable[[Task, int], None]
"""Called with a task and the number of its samples that have just been done."""


@dataclass(frozen=True)
class Lost:
    """The worker that did a task is gone; another one stands in its place.

    Attributes:
        task: what it was asked.
        how: what became of it.
        hopeless: another worker would come to the same end.
    """

    task: Task
    how: str
    hopeless: bool = False


@dataclass(frozen=True)
class Terms:
    """How all workers work.

    Attributes:
        images: which adversarial images are stored.
        batch_size: images at once, unless a task says another number; None: as is fastest.
        threads: of each worker.
        root: the run folder, where what was measured of defended models is read; None where everything is measured anew.
        timeout: seconds that a worker may take for a task, after which it is ended; None for any time.
    """

    images: str
    batch_size: int | None
    threads: int
    root: Path | None = None
    timeout: float | None = None

    @property
    def overdue(self) -> str:
        """What became of a worker that took longer."""
        return f"took longer than --timeout {self.timeout:g} s"


def shelf_of(terms: Terms) -> Shelf | None:
    """What other workers and runs have measured."""
    return None if terms.root is None else Shelf(terms.root)


class Executor(Protocol):
    """Workers, each of which does one task at a time."""

    @property
    def places(self) -> int:
        """How many there are."""

    def ready(self, place: int) -> bool:
        """Whether the worker of a place can be given a task, if it has none."""

    def start(self, place: int, task: Task) -> None:
        """Gives a task to an idle worker."""

    def next(self, on_done: OnDone) -> tuple[int, Answer | Lost | None]:
        """Waits until a worker has done its task; returns its place and what came of it, or None for a worker that has just become ready.

        Raises:
            RbenchError: something is wrong with the suite or the machine.
            Stopped: the user wants the run to end.
        """

    def close(self) -> None:
        """Ends all workers."""


class Inline:
    """One worker, in this process."""

    places = 1

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._task: Task | None = None

    def ready(self, place: int) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def start(self, place: int, task: Task) -> None:  # noqa: ARG002
        """Takes the task."""
        self._task = task

    def next(self, on_done: OnDone) -> tuple[int, Answer | Lost]:
        """Does the task."""
        task = self._task
        assert task is not None, "no task was given"
        return 0, self.worker.do(task, lambda count: on_done(task, count))

    def close(self) -> None:
        """Nothing is left."""
