"""All cells of a run checked before the first one begins: what is wrong with the suite is told together, and nothing is run."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rbench.errors import InputError
from rbench.results.store import RunFolder
from rbench.running.executors import Executor, Lost
from rbench.running.losses import Losses, begins_again
from rbench.running.schedule import row_of
from rbench.running.tasks import Check, Checked, Failed, Result, Task, Weigh, Weighed
from rbench.suite.cell import Cell


@dataclass(frozen=True)
class Begun:
    """What a run begins with.

    Attributes:
        cells: those to run.
        samples: of all of them.
        failed: by id of the cell, why it will not be begun: its worker has died of its model already.
    """

    cells: list[Cell]
    samples: int
    failed: dict[str, Failed]


def checked(
    cells: Sequence[Cell],
    doubted: Sequence[Cell],
    folder: RunFolder,
    executor: Executor,
    on_note: Callable[[str], None],
) -> Begun:
    """Has all components made and every defended model tried on two images, a task for each model.

    Args:
        cells: those to run.
        doubted: finished cells that are run again if their model has other parameters or buffers than when they were judged.
        folder: the run folder.
        executor: the workers.
        on_note: called with a line the user should see.

    Raises:
        InputError: something is wrong with the suite; all of it in one line.
        MissingError: a component needs a module, file or device that is not there.
    """
    whole = [*cells, *_changed(doubted, folder, executor, on_note)]
    samples, failed, problems, told = 0, dict[str, Failed](), dict[str, InputError](), dict[str, None]()
    rows = _rows(whole)
    answers = done_by([Check(tuple(row)) for row in rows.values()], executor, on_note)
    places = {row: place for place, row in enumerate(rows)}
    for task, result in sorted(answers, key=lambda answer: places[row_of(answer[0].cell)]):
        if isinstance(result, Failed):
            failed |= {cell.id: result for cell in _cells(task)}
        elif isinstance(result, Checked):
            samples += result.samples
            told |= dict.fromkeys(result.told)
            problems |= {str(problem): problem for problem in result.problems}
            if result.doubt and not result.problems:
                on_note(f"{_model(task.cell)} was tried on two images before the run, and will fail: {result.doubt}")
    for line in told:
        on_note(line)
    if problems:
        raise _together(list(problems.values()))
    return Begun(whole, samples, failed)


def _together(problems: Sequence[InputError]) -> InputError:
    if len(problems) == 1:
        return problems[0]
    listed = " ".join(f"({place}) {problem}" for place, problem in enumerate(problems, start=1))
    return InputError(f"{len(problems)} problems were found before the first cell: {listed}")


def _changed(
    cells: Sequence[Cell], folder: RunFolder, executor: Executor, on_note: Callable[[str], None]
) -> Iterator[Cell]:
    """Those of the finished cells that were judged with other parameters or buffers than purifier and backbone have now."""
    found = [(cell, folder.read_record(cell.id)) for cell in cells]
    finished = [(cell, record) for cell, record in found if record is not None and record.status == "done"]
    tasks = [Weigh(row[0]) for row in _rows(cell for cell, _ in finished).values()]
    states = {
        row_of(task.cell): result.weights if isinstance(result, Weighed) else None
        for task, result in done_by(tasks, executor, on_note)
    }
    for cell, record in finished:
        if record.provenance.get("weights_sha256") != (states[row_of(cell)] or "refused"):
            on_note(
                f"cell {cell.id} ({cell.title}): purifier or backbone have other weights than when it ran; it is run again"
            )
            yield cell


def done_by(tasks: Sequence[Task], executor: Executor, on_note: Callable[[str], None]) -> Iterator[tuple[Task, Result]]:
    """What comes of tasks that any worker may do, each when it is done."""
    waiting, busy, losses = deque(tasks), set[int](), Losses()
    while waiting or busy:
        for place in range(executor.places):
            if waiting and place not in busy and executor.ready(place):
                executor.start(place, waiting.popleft())
                busy.add(place)
        place, answer = executor.next(lambda task, count: None)
        if answer is None:
            continue
        busy.discard(place)
        if isinstance(answer, Lost):
            why = losses.last(answer)
            if why is None:
                on_note(begins_again(answer))
                waiting.appendleft(answer.task)
            else:
                yield answer.task, Failed(why)
            continue
        for line in answer.notes:
            on_note(line)
        yield answer.task, answer.result


def _rows(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """Cells by their defended model, in their order."""
    rows = dict[str, list[Cell]]()
    for cell in cells:
        rows.setdefault(row_of(cell), []).append(cell)
    return rows


def _cells(task: Task) -> tuple[Cell, ...]:
    return task.cells if isinstance(task, Check) else (task.cell,)


def _model(cell: Cell) -> str:
    return f"{cell.backbone.label}/{cell.purifier.label}"
