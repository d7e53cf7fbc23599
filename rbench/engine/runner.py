"""The runner: cell by cell into a run folder, stoppable at any moment."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType

from rbench.engine.cell_run import Work, blank, protocol_of, run_cell
from rbench.engine.components import Components, order, preload
from rbench.engine.devices import resolve_device
from rbench.engine.evaluation import refuse_mismatch
from rbench.errors import InputError, Interrupted
from rbench.results.record import Record
from rbench.results.store import RunFolder
from rbench.suite.cell import Cell


@dataclass(frozen=True)
class Progress:
    """A step of a run; given to the caller's `on_progress`.

    Attributes:
        cell: the cell at work.
        position: which of the cells to run it is, from 1.
        cells: how many are to run.
        total: samples of all cells to run.
        samples: how many samples have just been done.
        record: the record of the cell, if it has just ended.
    """

    cell: Cell
    position: int
    cells: int
    total: int
    samples: int = 0
    record: Record | None = None


def run(
    cells: Sequence[Cell],
    folder: RunFolder,
    *,
    images: str = "auto",
    device: str = "auto",
    batch_size: int = 64,
    on_progress: Callable[[Progress], None] = lambda step: None,
    on_note: Callable[[str], None] = lambda line: None,
) -> list[Record]:
    """Runs cells and returns their records.

    Every component is made before the first cell starts, so a wrong name, file or parameter costs nothing. Finished chunks of an
    earlier run are used, and survive a kill at any moment.

    Args:
        cells: those to run.
        folder: the run folder, locked by the caller.
        images: which adversarial images to store: `auto`, `all`, `fooled` or `none`.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        batch_size: samples at once for our own attacks.
        on_progress: called as samples and cells are done.
        on_note: called with a line the user should see.

    Raises:
        InputError: a component is wrong.
        Interrupted: Ctrl-C or SIGTERM; what was finished is kept.
    """
    components = Components(resolve_device(device))
    preload(cells, components)
    for cell in cells:
        attack, model = components.attack(cell.attack), components.defended(cell.backbone, cell.purifier)
        try:
            refuse_mismatch(attack, protocol_of(cell, batch_size), model)
        except InputError as error:
            component = f"attack '{cell.attack.label}'"
            raise error.at(component, component=component) from None
    total = sum(len(order(components.dataset(cell.dataset), cell.slice)) for cell in cells)
    records: list[Record] = []
    with interruptible():
        for position, cell in enumerate(cells, start=1):
            step = Progress(cell, position, len(cells), total)
            on_done = _reporter(on_progress, step)
            records.append(_one(cell, Work(components, folder, images, batch_size, on_done, on_note)))
            on_progress(replace(step, record=records[-1]))
    return records


def _one(cell: Cell, work: Work) -> Record:
    before = _written(cell, work.folder)
    try:
        return run_cell(cell, work)
    except Stopped as stop:
        if _written(cell, work.folder) == before:  # else the signal came when the cell had just ended
            work.folder.finish(blank(cell, "cancelled", str(stop), ()))
        raise


def _written(cell: Cell, folder: RunFolder) -> int | None:
    path = folder.record_path(cell.id)
    return path.stat().st_mtime_ns if path.exists() else None


def _reporter(on_progress: Callable[[Progress], None], step: Progress) -> Callable[[int], None]:
    return lambda samples: on_progress(replace(step, samples=samples))


class Stopped(BaseException):
    """A signal came. No `Exception`, so that no model or attack can take it for an error of its own and go on.

    Args:
        number: the signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}; run again to go on")
        self.exit_code = 128 + number


@contextmanager
def interruptible() -> Iterator[None]:
    """Turns SIGINT and SIGTERM into `Interrupted` with exit code 130 or 143; a second Ctrl-C is the usual KeyboardInterrupt.

    Python delivers signals to the main thread alone; elsewhere nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise Stopped(number)

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Stopped as stopped:
        raise Interrupted(str(stopped), stopped.exit_code) from None
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
