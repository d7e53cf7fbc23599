"""The corruptions of a suite run into a run folder: what is missing, one cell after the other, by as many workers as there are."""

from collections.abc import Callable, Sequence

from rbench.engine.devices import resolve_device
from rbench.engine.precision import full_float32
from rbench.errors import InputError
from rbench.results.corrupted_runs import CorruptedFolder
from rbench.results.corruption_record import CorruptionRecord
from rbench.results.store import RunFolder
from rbench.running.checks import checked, done_by
from rbench.running.corrupted import failed
from rbench.running.executors import Terms
from rbench.running.pool import threads_of
from rbench.running.runner import executor_of
from rbench.running.signals import interruptible
from rbench.running.tasks import Corrupt, Corrupted, Failed
from rbench.running.throughput import USUAL
from rbench.suite.corruptions import CorruptedCell


def run_corruptions(
    cells: Sequence[CorruptedCell],
    folder: RunFolder,
    *,
    device: str = "auto",
    batch_size: int | None = USUAL,
    workers: int = 0,
    threads: int = 1,
    timeout: float | None = None,
    ray_address: str | None = None,
    on_ended: Callable[[CorruptionRecord], None] = lambda record: None,
    on_note: Callable[[str], None] = lambda line: None,
) -> list[CorruptionRecord]:
    """Judges the corrupted images of some cells and returns their records, in the order in which the cells ended.

    Every defended model is made and shown two images before the first cell starts. A cell that is interrupted begins again.

    Args:
        cells: those to run.
        folder: the run folder, locked by the caller.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        batch_size: images at once; None: as is fastest, measured once for each defended model.
        workers: processes that judge; with none this process itself does.
        threads: of torch on the CPU, for each worker.
        timeout: seconds that a worker may take for a cell; None for any time.
        ray_address: the workers are actors of this Ray cluster; `local` starts one on this machine.
        on_ended: called with the record of each cell that has ended.
        on_note: called with a line the user should see.

    Raises:
        InputError: a component is wrong, or corrupted images cannot be made or read.
        Interrupted: Ctrl-C or SIGTERM; finished cells are kept.
    """
    place, ended = resolve_device(device), list[CorruptionRecord]()
    kept = CorruptedFolder(folder.root)
    terms = Terms("none", batch_size, threads, folder.root.resolve(), timeout)
    probes = list({cell.probe.id: cell.probe for cell in cells}.values())
    with threads_of(threads), full_float32(), interruptible():
        executor = executor_of(place, workers, terms, ray_address)
        try:
            hopeless = checked(probes, (), folder, executor, on_note).failed
            tasks = [Corrupt(cell) for cell in cells if cell.probe.id not in hopeless]
            refused = [(cell, hopeless[cell.probe.id]) for cell in cells if cell.probe.id in hopeless]
            for cell, why in refused:
                ended.append(_kept(kept, failed(cell, why.error), None, on_ended))
            for task, result in done_by(tasks, executor, on_note):
                assert isinstance(task, Corrupt)
                if isinstance(result, Corrupted):
                    ended.append(_kept(kept, result.record, result, on_ended))
                elif isinstance(result, Failed):
                    ended.append(_kept(kept, failed(task.corrupted, result.error), None, on_ended))
        finally:
            executor.close()
    return ended


def _kept(
    folder: CorruptedFolder,
    record: CorruptionRecord,
    result: Corrupted | None,
    on_ended: Callable[[CorruptionRecord], None],
) -> CorruptionRecord:
    folder.finish(record, None if result is None else result.judged)
    on_ended(record)
    return record


def pending_corruptions(
    cells: Sequence[CorruptedCell], folder: RunFolder, redo: str, on_note: Callable[[str], None] = lambda line: None
) -> list[CorruptedCell]:
    """The cells that `redo` asks for: those without a readable record, also the failed ones, or all.

    Args:
        cells: those to choose from.
        folder: what is there of them.
        redo: `missing`, `failed` or `all`.
        on_note: called with a line for each file that cannot be read.
    """
    kept = CorruptedFolder(folder.root)

    def wanted(cell: CorruptedCell) -> bool:
        if redo == "all":
            return True
        try:
            found = kept.read(cell.id)
        except InputError as error:
            on_note(f"cell {cell.id} ({cell.title}) is run again: {error}")
            return True
        return found is None or (found[0].status == "failed" and redo == "failed")

    return [cell for cell in cells if wanted(cell)]
