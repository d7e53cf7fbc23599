"""Which task a worker gets next. Imports no torch."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from rbench.running.tasks import Attack, Conclude, Prepare, Task
from rbench.suite.cell import Cell


def row_of(cell: Cell) -> str:
    """What cells share that are attacked on one defended model."""
    return f"{cell.backbone} {cell.purifier}"


@dataclass
class Job:
    """A cell that is not finished yet.

    Attributes:
        cell: the cell.
        row: see `row_of`.
        waiting: tasks that may begin now.
        active: how many are being done.
        spans: how many of its spans are not finished.
        begun: a task of it was given out.
    """

    cell: Cell
    row: str
    waiting: deque[Task]
    active: int = 0
    spans: int = 0
    begun: bool = False


@dataclass
class Schedule:
    """The cells of a run in their order.

    A worker stays with the row whose model it has loaded; then it begins a row that nobody has; at the end workers share what is left.
    With one worker the cells are run one after the other. A cell of a cascade waits for those before it.

    Attributes:
        jobs: unfinished cells by id, in the order of the suite.
    """

    jobs: dict[str, Job] = field(default_factory=dict)

    @classmethod
    def of(cls, cells: Iterable[Cell]) -> "Schedule":
        """All of them are still to be prepared."""
        return cls({cell.id: Job(cell, row_of(cell), deque([Prepare(cell)])) for cell in cells})

    def take(self, row: str | None, others: Collection[str]) -> Task | None:
        """The next task of a worker; None if there is none now.

        Args:
            row: whose model it has loaded.
            others: the rows that other workers have loaded.
        """
        open_jobs = [job for job in self.jobs.values() if job.waiting and self.jobs.keys().isdisjoint(job.cell.after)]
        rules: Sequence[Callable[[Job], bool]] = (
            lambda job: job.row == row and job.begun,
            lambda job: job.row == row,
            lambda job: job.row not in others,
            lambda job: True,
        )
        for rule in rules:
            for job in filter(rule, open_jobs):
                job.active, job.begun = job.active + 1, True
                return job.waiting.popleft()
        return None

    def prepared(self, cell: Cell, gaps: Iterable[tuple[int, int]], conclude: Conclude) -> None:
        """Takes note that a cell can be attacked; `gaps` are the samples that are not finished."""
        job = self.jobs[cell.id]
        job.active -= 1
        job.waiting = deque(Attack(cell, start, stop) for start, stop in gaps)
        job.spans = len(job.waiting)
        if not job.spans:
            job.waiting.append(conclude)

    def attacked(self, cell: Cell, conclude: Conclude) -> None:
        """Takes note that a span is finished."""
        job = self.jobs[cell.id]
        job.active, job.spans = job.active - 1, job.spans - 1
        if not job.spans:
            job.waiting.append(conclude)

    def widen(self, cell: Cell, least: int, most: int) -> None:
        """Joins waiting spans of a cell that lie side by side, two by two: more samples keep the batch full, and less is asked around them.

        Args:
            cell: whose spans are soon done.
            least: spans that must be left, so that every worker has enough to do.
            most: samples of a joined span.
        """
        job, joined = self.jobs[cell.id], deque[Task]()
        while job.waiting:
            span = job.waiting.popleft()
            enough = len(joined) + len(job.waiting) >= least
            if job.waiting and enough and (both := _joined(span, job.waiting[0], most)):
                span, _ = both, job.waiting.popleft()
                job.spans -= 1
            joined.append(span)
        job.waiting = joined

    def again(self, task: Task) -> None:
        """Puts back a task whose worker is gone."""
        job = self.jobs[task.cell.id]
        job.active -= 1
        job.waiting.appendleft(task)

    def ended(self, cell: Cell) -> None:
        """Takes note that a cell has its record."""
        del self.jobs[cell.id]

    def at_work(self) -> list[Cell]:
        """The cells that were begun."""
        return [job.cell for job in self.jobs.values() if job.begun]


def _joined(one: Task, other: Task, most: int) -> Attack | None:
    """Two spans as one, if they lie side by side and are not too large together."""
    if not isinstance(one, Attack) or not isinstance(other, Attack):
        return None
    return replace(one, stop=other.stop) if one.stop == other.start and other.stop - one.start <= most else None


def gaps(parts: Iterable[tuple[int, int]], count: int, size: int) -> Iterator[tuple[int, int]]:
    """What is left of `count` samples between finished spans, which may be of another batch size, in pieces of at most `size`."""
    position = 0
    for start, stop in [*sorted(parts), (count, count)]:
        for first in range(position, start, size):
            yield first, min(first + size, start)
        position = stop
