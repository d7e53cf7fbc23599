"""The coordinator: runs cells one by one into a run folder, and can be stopped at any moment."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from rbench.engine.defended import state_hash
from rbench.engine.devices import resolve_device
from rbench.engine.setup import refuse_mismatch
from rbench.errors import CellFailed, InputError, Stopped
from rbench.process_state import NOTES
from rbench.results.record import Record
from rbench.results.store import RunFolder
from rbench.running.cell_run import Work, run_cell
from rbench.running.components import Components, order
from rbench.running.prepare import protocol_of
from rbench.running.progress import Progress
from rbench.running.record import blank
from rbench.running.signals import interruptible
from rbench.signature import Mistake
from rbench.suite.cell import Cell
from rbench.suite.spec import require_within


def run(
    cells: Sequence[Cell],
    folder: RunFolder,
    *,
    doubted: Sequence[Cell] = (),
    images: str = "auto",
    device: str = "auto",
    batch_size: int = 64,
    on_progress: Callable[[Progress], None] = lambda step: None,
    on_note: Callable[[str], None] = lambda line: None,
) -> list[Record]:
    """Runs cells and returns their records.

    Every component is made before the first cell starts, so a wrong name, file or parameter costs nothing. Finished spans of an
    earlier run are used, and survive a kill at any moment.

    Args:
        cells: those to run.
        folder: the run folder, locked by the caller.
        doubted: finished cells to run again where purifier or backbone have other parameters or buffers by now (see `resume.doubted`).
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
    records: list[Record] = []
    with interruptible():
        cells = [*cells, *_changed(doubted, folder, components, on_note)]
        total = sum(_checked(cell, components, batch_size) for cell in cells)
        _tell(on_note)
        for position, cell in enumerate(cells, start=1):
            step = Progress(cell, position, len(cells), total)
            on_done = _reporter(on_progress, step)
            records.append(_one(cell, Work(components, folder, images, batch_size, on_done, on_note)))
            _tell(on_note)
            on_progress(replace(step, record=records[-1]))
    return records


def _checked(cell: Cell, components: Components, batch_size: int) -> int:
    """Makes every component of a cell and says how many samples it has, so that a bad one stops the run before anything is computed."""
    try:
        loaded = components.of(cell)
    except CellFailed:  # it fails again when its turn comes, and then has a record
        return len(order(components.dataset(cell.dataset), cell.slice))
    try:
        refuse_mismatch(loaded.attack, protocol_of(cell, batch_size), loaded.model)
    except InputError as error:
        component = f"attack '{cell.attack.label}'"
        raise error.at(component, component=component) from None
    ids = order(loaded.dataset, cell.slice)
    try:
        require_within(cell.threat.norm, cell.threat.eps, components.values(cell.dataset, ids[:1]))
    except Mistake as mistake:
        problem, found, remedy = mistake.problem, mistake.found, mistake.remedy
        raise InputError(problem, place="threat.eps", found=found, remedy=remedy) from None
    return len(ids)


def _tell(on_note: Callable[[str], None]) -> None:
    """Shows what code of third parties changed of the process."""
    for line in NOTES.take():
        on_note(line)


def _changed(
    cells: Sequence[Cell], folder: RunFolder, components: Components, on_note: Callable[[str], None]
) -> Iterator[Cell]:
    """Those of the finished cells that were judged with other parameters or buffers than purifier and backbone have now."""
    states: dict[str, str] = {}  # the cells of a row share their model
    for cell in cells:
        record = folder.read_record(cell.id)
        if record is None or record.status != "done":
            continue
        model = f"{cell.backbone} {cell.purifier}"
        if model not in states:
            try:
                states[model] = state_hash(components.defended(cell.backbone, cell.purifier))
            except CellFailed:  # judged before it was refused; the cells that run say why
                states[model] = "refused"
        if record.provenance.get("weights_sha256") != states[model]:
            on_note(
                f"cell {cell.id} ({cell.title}): purifier or backbone have other weights than when it ran; run again."
            )
            yield cell


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
