"""The coordinator: has cells run into a run folder, and can be stopped at any moment. It alone writes to the folder."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from rbench.engine.devices import resolve_device
from rbench.engine.evaluation import Evaluated
from rbench.engine.precision import full_float32
from rbench.errors import InputError, Stopped
from rbench.results import sample_columns as column
from rbench.results.record import Record
from rbench.results.rows_on_disk import Rows
from rbench.results.store import RunFolder
from rbench.running.batch_sizes import BatchSizes
from rbench.running.cascade import Cascade
from rbench.running.checks import checked
from rbench.running.components import Components
from rbench.running.executors import Executor, Inline, Lost, Terms, shelf_of
from rbench.running.losses import Losses, begins_again
from rbench.running.pool import threads_of
from rbench.running.progress import Progress
from rbench.running.record import blank
from rbench.running.schedule import Schedule, gaps, row_of
from rbench.running.signals import interruptible
from rbench.running.tasks import (
    Answer,
    Attack,
    Attacked,
    Check,
    Conclude,
    Concluded,
    Failed,
    Ready,
    Result,
    Task,
    Weigh,
)
from rbench.running.throughput import USUAL
from rbench.running.worker import STATE, Worker
from rbench.suite.cell import Cell, defended_id

SOON = 20.0
"""Seconds: a span that takes less is followed by larger ones."""
SPAN_BYTES = 2**26
"""Of the pixels of a span at most, where spans grow."""


def run(
    cells: Sequence[Cell],
    folder: RunFolder,
    *,
    doubted: Sequence[Cell] = (),
    images: str = "auto",
    device: str = "auto",
    batch_size: int | None = USUAL,
    workers: int = 0,
    threads: int = 1,
    timeout: float | None = None,
    ray_address: str | None = None,
    on_progress: Callable[[Progress], None] = lambda step: None,
    on_note: Callable[[str], None] = lambda line: None,
) -> list[Record]:
    """Runs cells and returns their records, in the order in which the cells ended.

    Every component is made and every defended model is shown two images before the first cell starts, so a wrong name, file, parameter or
    size costs nothing. Finished spans of an earlier run are used, and survive a kill at any moment.

    Args:
        cells: those to run.
        folder: the run folder, locked by the caller.
        doubted: finished cells to run again where purifier or backbone have other parameters or buffers by now (see `resume.doubted`).
        images: which adversarial images to store: `auto`, `all`, `fooled` or `none`.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        batch_size: images at once for our own attacks and the judge; None: as is fastest, measured once for each defended model.
        workers: processes that attack; with none this process itself does. On GPUs one for each.
        threads: of torch on the CPU, for each worker.
        timeout: seconds that a worker may take for a span, or for what is done before and after the spans of a cell; None for any time.
        ray_address: the workers are actors of this Ray cluster; `local` starts one on this machine.
        on_progress: called as samples and cells are done.
        on_note: called with a line the user should see.

    Raises:
        InputError: a component is wrong.
        Interrupted: Ctrl-C or SIGTERM; what was finished is kept.
    """
    place = resolve_device(device)
    terms = Terms(images, batch_size, threads, folder.root.resolve(), timeout)
    with threads_of(threads), full_float32(), interruptible():
        executor = executor_of(place, workers, terms, ray_address)
        try:
            begun = checked(cells, doubted, folder, executor, on_note)
            hooks = Hooks(begun.cells, begun.samples, on_progress, on_note)
            return Coordinator(folder, executor, hooks, BatchSizes(folder, place.type, batch_size)).run(begun.failed)
        finally:
            executor.close()


def executor_of(place: torch.device, workers: int, terms: Terms, ray_address: str | None) -> Executor:
    """The workers of a run: this process, others of this machine, or actors of a Ray cluster."""
    if ray_address is not None:
        from rbench.running.ray_workers import RayWorkers

        return RayWorkers(max(1, workers), place.type, terms, None if ray_address == "local" else ray_address)
    if workers:
        from rbench.running.processes import Processes

        return Processes(devices(place, workers), terms)
    if terms.timeout is not None:
        problem = "a process cannot end what it does itself."
        raise InputError(problem, place="--timeout", found="--workers 0", remedy="Give it --workers 1 or more")
    return Inline(Worker(Components(place, shelf_of(terms)), terms.images, terms.batch_size))


def devices(place: torch.device, workers: int) -> list[str]:
    """The device of each worker: the same for all, or one GPU after the other where none was named."""
    if place.type == "cuda" and place.index is None:
        return [f"cuda:{number % torch.cuda.device_count()}" for number in range(workers)]
    return [str(place)] * workers


@dataclass(frozen=True)
class Hooks:
    """What a run tells its caller.

    Attributes:
        cells: all of them.
        total: their samples.
        on_progress: called as samples and cells are done.
        on_note: called with a line the user should see.
    """

    cells: Sequence[Cell]
    total: int
    on_progress: Callable[[Progress], None]
    on_note: Callable[[str], None]


@dataclass
class Coordinator:
    """Hands out tasks, and writes what comes of them."""

    folder: RunFolder
    executor: Executor
    hooks: Hooks
    sizes: BatchSizes
    ended: list[Record] = field(default_factory=list)
    losses: Losses = field(default_factory=Losses)

    def run(self, failed: Mapping[str, Failed]) -> list[Record]:
        """The records of all cells.

        Args:
            failed: by id of a cell, why it is not begun.
        """
        self.schedule = Schedule.of(self.hooks.cells)
        self.positions = {cell.id: place for place, cell in enumerate(self.hooks.cells, start=1)}
        self.written = {cell.id: self._written(cell) for cell in self.hooks.cells}
        self.cascade, self.ready = Cascade(self.folder), dict[str, Ready]()
        rows, busy = dict[int, str](), set[int]()
        for cell in self.hooks.cells:
            if cell.id in failed:
                self._fail(cell, failed[cell.id])
        try:
            while self.schedule.jobs:
                for place in range(self.executor.places):
                    others = {row for other, row in rows.items() if other != place}
                    free = place not in busy and self.executor.ready(place)
                    task = self.schedule.take(rows.get(place), others) if free else None
                    if task is not None:
                        self.executor.start(place, self._told(task))
                        busy.add(place)
                        rows[place] = row_of(task.cell)
                place, answer = self.executor.next(self._progressed)
                if answer is not None:
                    busy.discard(place)
                    self._take(answer)
        except Stopped as stop:
            for cell in self.schedule.at_work():
                if self._written(cell) == self.written[cell.id]:  # else the signal came when the cell had just ended
                    self.folder.finish(blank(cell, "cancelled", str(stop), ()))
            raise
        return self.ended

    def _told(self, task: Task) -> Task:
        """A task with the batch size of its model; an attack of a cascade is told what the cells before it have fooled."""
        if isinstance(task, Weigh | Check):
            return task
        task = replace(task, batch=self.sizes.of(task.cell))
        if not isinstance(task, Attack) or not task.cell.after:
            return task
        ids = self.ready[task.cell.id].ids[task.start : task.stop]
        return replace(task, settled=self.cascade.settled(task.cell, ids))

    def _take(self, answer: Answer | Lost) -> None:
        cell = answer.task.cell
        if isinstance(answer, Answer):
            for line in answer.notes:
                self.hooks.on_note(line)
            for row, name, document in answer.measured:
                self.folder.write_audit(row, name, document)
        if cell.id not in self.schedule.jobs:  # it has failed meanwhile
            return
        if isinstance(answer, Lost):
            self._take_loss(answer)
        else:
            self._take_result(answer.task, answer.result)

    def _take_loss(self, lost: Lost) -> None:
        task, why = lost.task, self.losses.last(lost)
        if why is None:
            self.hooks.on_note(begins_again(lost))
            self.schedule.again(task)
        else:
            ids = self.ready[task.cell.id].ids[task.start : task.stop].tolist() if isinstance(task, Attack) else ()
            self._fail(task.cell, Failed(why, tuple(ids)))

    def _take_result(self, task: Task, result: Result) -> None:
        cell = task.cell
        conclude = Conclude(cell, self.folder.root)
        if isinstance(result, Failed):
            self._fail(cell, result)
        elif isinstance(result, Ready):
            self.sizes.found(cell, result.batch)
            kept, self.ready[cell.id] = self._earlier(cell, result), result
            self.schedule.prepared(cell, gaps(kept, len(result.ids), self._span(result)), conclude)
        elif isinstance(result, Attacked):
            assert isinstance(task, Attack)
            meta = {**result.evaluated.counts, STATE: result.weights}
            self.folder.write_chunk(cell.id, task.start, task.stop, result.evaluated.arrays, meta)
            self.schedule.attacked(cell, conclude)
            self._widen(cell, result.evaluated)
        elif isinstance(result, Concluded):
            self._finish(cell, result.record, result)

    def _span(self, ready: Ready) -> int:
        """How many samples are attacked and stored together: few enough that every worker gets some, where any number would do."""
        share = max(ready.batch, math.ceil(len(ready.ids) / self.executor.places))
        return min(ready.chunk, share) if ready.apart else ready.chunk

    def _widen(self, cell: Cell, done: Evaluated) -> None:
        """Makes later spans of a cell larger where they are soon done: then little is lost with one that is not finished."""
        images = done.arrays[column.IMAGES]
        if self.ready[cell.id].apart and done.counts["seconds"] < SOON and len(images):
            most = SPAN_BYTES // (4 * math.prod(images.shape[1:]))
            self.schedule.widen(cell, 2 * self.executor.places, most)

    def _fail(self, cell: Cell, failed: Failed) -> None:
        self.folder.drop_audits(defended_id(cell.backbone, cell.purifier))  # nothing is kept of a model that is refused
        self._finish(cell, blank(cell, "failed", failed.error, failed.samples))

    def _finish(self, cell: Cell, record: Record, left: Concluded | None = None) -> None:
        if left is None:
            self.folder.finish(record)
        else:
            kept = None if left.kept is None else (self._images(cell, left.kept), left.kept)
            self.folder.finish(record, left.samples, kept, left.gallery)
        self.schedule.ended(cell)
        self.ended.append(record)
        step = Progress(cell, len(self.ended), len(self.hooks.cells), self.hooks.total)
        self.hooks.on_progress(replace(step, record=record))

    def _images(self, cell: Cell, ids: np.ndarray) -> Rows:
        """The images of some samples of a cell, still in its chunks."""
        chunks, _ = self.folder.read_chunks(cell.id)
        known = np.concatenate([chunk.arrays[column.SAMPLE] for chunk in chunks])
        order = np.argsort(known, kind="stable")
        return Rows.of([chunk.arrays[column.IMAGES] for chunk in chunks]).at(order[np.searchsorted(known[order], ids)])

    def _progressed(self, task: Task, samples: int) -> None:
        if isinstance(task, Attack):
            self._tell_progress(task.cell, samples)

    def _tell_progress(self, cell: Cell, samples: int) -> None:
        step = Progress(cell, self.positions[cell.id], len(self.hooks.cells), self.hooks.total, samples)
        self.hooks.on_progress(step)

    def _earlier(self, cell: Cell, ready: Ready) -> list[tuple[int, int]]:
        """Chunks of an earlier run that cover the slice without overlap, made with these weights; the others are removed."""
        chunks, notes = self.folder.read_chunks(cell.id)
        for note in notes:
            self.hooks.on_note(note)
        kept = list[tuple[int, int]]()
        for chunk in chunks:
            same = np.array_equal(chunk.arrays.get(column.SAMPLE, ()), ready.ids[chunk.start : chunk.stop])
            if chunk.meta.get(STATE) == ready.weights and same:
                kept.append((chunk.start, chunk.stop))
                self._tell_progress(cell, chunk.stop - chunk.start)
            else:
                self.folder.drop_chunk(cell.id, chunk)
                if same:
                    samples = f"samples {chunk.start} to {chunk.stop - 1}"
                    self.hooks.on_note(
                        f"cell {cell.id} ({cell.title}): {samples} were attacked with other weights; done again."
                    )
        return kept

    def _written(self, cell: Cell) -> int | None:
        path = self.folder.record_path(cell.id)
        return path.stat().st_mtime_ns if path.exists() else None
