"""Workers that are gone before they have an answer: their task begins again, a few times, or has failed."""

from collections import Counter
from dataclasses import dataclass, field

from rbench.running.executors import Lost
from rbench.running.tasks import Attack, Check, Corrupt, Prepare, Task, Weigh

ATTEMPTS = 3
"""How often a task is begun whose worker is gone before it has an answer."""


@dataclass
class Losses:
    """Those of a run."""

    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def last(self, lost: Lost) -> str | None:
        """Why a task has failed for good; None if it may begin again."""
        work = work_of(lost.task)
        key = lost.task.cell.id, work
        self._counts[key] += 1
        if lost.hopeless:
            return f"its worker {lost.how} while {work}"
        return f"its worker {lost.how} while {work}, {ATTEMPTS} times" if self._counts[key] >= ATTEMPTS else None


def work_of(task: Task) -> str:
    """What a worker does, in words."""
    if isinstance(task, Attack):
        return f"attacking samples {task.start} to {task.stop - 1}"
    if isinstance(task, Check | Weigh):
        return "loading and trying the model on two images"
    if isinstance(task, Corrupt):
        return f"judging {task.corrupted.corruption.name} images"
    return "loading and auditing" if isinstance(task, Prepare) else "drawing the conclusions"


def begins_again(lost: Lost) -> str:
    """The line about a task that begins again."""
    cell = lost.task.cell
    return f"cell {cell.id} ({cell.title}): its worker {lost.how} while {work_of(lost.task)}, which begins again."
