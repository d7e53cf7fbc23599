"""A worker: loads what cells name, and does one task after the other. It writes nothing."""

import gc
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from rbench.engine.audit import Audit
from rbench.engine.audited_images import SAMPLES
from rbench.engine.evaluation import Evaluated
from rbench.engine.raised import layer_of
from rbench.errors import CellFailed, RbenchError
from rbench.process_state import NOTES, said, users_own
from rbench.results import sample_columns as column
from rbench.results.store import RunFolder
from rbench.running.check import check, weigh
from rbench.running.components import Components
from rbench.running.conclude import Finished, conclude
from rbench.running.corrupted import corruption_record, judge_corrupted
from rbench.running.memory import out_of_memory
from rbench.running.prepare import Prepared, prepare
from rbench.running.record import done
from rbench.running.schedule import row_of
from rbench.running.span import run_span
from rbench.running.tasks import (
    Answer,
    Attack,
    Attacked,
    Check,
    Concluded,
    Corrupt,
    Corrupted,
    Failed,
    InBatches,
    Prepare,
    Ready,
    Result,
    Task,
    Weigh,
)
from rbench.running.throughput import USUAL, batch_size_for
from rbench.running.trained_on import data_told
from rbench.suite.cell import Cell

KEPT_SIDE = 64
"""With `images: auto`, all adversarial images of up to this many pixels a side are stored, and of larger ones only those that fool."""


@dataclass
class Worker:
    """Does tasks, and keeps the cell that it did last ready.

    Attributes:
        components: loads each component once.
        images: which adversarial images are stored: `auto`, `all`, `fooled` or `none`.
        batch_size: images at once for our own attacks and the judge; None: what a task says, else what is fastest for the model.
    """

    components: Components
    images: str
    batch_size: int | None
    _sizes: dict[str, int] = field(default_factory=dict)
    _ready: tuple[str, Prepared] | None = None
    _fits: dict[str, int] = field(default_factory=dict)
    _span: np.ndarray | None = None

    def do(self, task: Task, on_done: Callable[[int], None], parts: Sequence[Evaluated] | None = None) -> Answer:
        """Does a task; a rule of judging that is broken, and any exception of a model or an attack, is an answer too.

        Args:
            task: what to do.
            on_done: called with the number of samples that are done.
            parts: for a conclusion the finished samples, where the run folder cannot be read from here.

        Raises:
            RbenchError: something is wrong with the suite or the machine and not with the cell alone.
            Stopped: the user wants it to end.
        """
        try:
            result = self._carried_out(task, _Told(on_done), parts)
        except CellFailed as error:
            result = Failed(str(error), tuple(error.sample_ids))
        except RbenchError:
            raise
        except BaseException as error:  # `SystemExit` as well: a model that ends the process has no verdict
            if users_own(error):
                raise
            blamed = getattr(error, "blamed", None)
            if isinstance(blamed, RbenchError) and isinstance(task, Weigh | Check):
                raise blamed from error  # a component that cannot be made is wrong in every cell
            result = Failed(self._said(error), self._shown(task))
        measured = () if self.components.shelf is None else self.components.shelf.take()
        if isinstance(result, Failed):
            measured = ()
            self._ready = None
            self.components.forget_models()  # the failure may have changed them: the next cell gets fresh ones
        return Answer(task, result, tuple(NOTES.take()), measured)

    def _carried_out(self, task: Task, told: "_Told", parts: Sequence[Evaluated] | None) -> Result:
        """Does a task, in smaller batches if memory is short, and samples once more if a model or an attack raised something.

        Results depend neither on the size of batches nor on what was begun before.
        """
        raised = False
        while True:
            told.begin()
            try:
                return self._done(task, told, parts)
            except RbenchError:
                raise
            except BaseException as error:
                short = isinstance(task, InBatches) and out_of_memory(error)
                if users_own(error) or not (short or (isinstance(task, Attack) and not raised)):
                    raise
                kind = type(error).__name__
            # Not above: the exception holds the frames that hold the tensors.
            if short and isinstance(task, InBatches):
                self._halve(task)
            elif isinstance(task, Attack):
                raised = True
                samples = f"samples {task.start} to {task.stop - 1}"
                NOTES.say(f"{task.cell.title}: {kind} while {samples} were attacked; they are attacked once more")

    def _halve(self, task: InBatches) -> None:
        size, self._ready = self._size(task), None
        _free()
        if size == 1:
            raise CellFailed("out of memory, also with one image at once")
        self._fits[row_of(task.cell)] = size // 2
        NOTES.say(f"{task.cell.title}: out of memory with batches of {size}; it goes on with batches of {size // 2}")

    def _said(self, error: BaseException) -> str:
        """An exception in words, with the layer that raised it."""
        model = self.components.in_use
        layer = None if model is None else layer_of(error, model)
        return f"{said(error)} ({layer})" if layer else said(error)

    def _shown(self, task: Task) -> tuple[int, ...]:
        """The ids of the samples that the model was shown last, all of the task where nobody can tell."""
        if not isinstance(task, Attack) or self._span is None:
            return ()
        ids, model = self._span.tolist(), self.components.in_use
        shown = None if model is None else model.known.shown
        last = set[int]()
        with suppress(Exception):  # a device that has failed gives no answer
            last = set() if shown is None else set(shown.tolist())
        return tuple(one for one in ids if one in last) or tuple(ids)

    def _done(self, task: Task, on_done: Callable[[int], None], parts: Sequence[Evaluated] | None) -> Result:
        if isinstance(task, Weigh):
            return weigh(task.cell, self.components)
        if isinstance(task, Check):
            return check(task.cells, self.components)
        prepared = self._prepared(task)
        if isinstance(task, Prepare):
            size, attack = self._sizes[row_of(task.cell)], prepared.setup.attack
            apart = attack.driven and not _by_batch(prepared.setup.audit)
            return Ready(prepared.ids, prepared.setup.weights, attack.chunk(size), size, apart)
        if isinstance(task, Attack):
            self._span = prepared.ids[task.start : task.stop]
            evaluated = run_span(prepared, self._span, on_done, task.settled)
            return Attacked(evaluated, prepared.setup.weights)
        if isinstance(task, Corrupt):
            ids = prepared.ids
            judged, images, cost = judge_corrupted(task.corrupted, prepared, self.components, on_done)
            data = self._data(task.cell, self.components.data_hash(task.cell.dataset, ids))
            return Corrupted(corruption_record(task.corrupted, prepared, judged, images, cost, data), judged)
        return self._concluded(task.cell, prepared, parts or evaluated_of(RunFolder(task.root), task.cell))

    def _size(self, task: InBatches) -> int:
        row = row_of(task.cell)
        if row not in self._sizes:
            self._sizes[row] = self.batch_size or task.batch or batch_size_for(task.cell, self.components)
        return self._fits.get(row, self._sizes[row])

    def _prepared(self, task: InBatches) -> Prepared:
        cell, row = task.cell, row_of(task.cell)
        if self._ready is None or self._ready[0] != cell.id:
            self._ready = None
            few = min(SAMPLES, self._fits.get(row, SAMPLES))
            prepared = prepare(cell, self.components, self._size(task), few)
            if self.batch_size is None and self._sizes[row] != USUAL and _by_batch(prepared.setup.audit):
                self._sizes[row] = USUAL
                prepared = prepare(cell, self.components, self._size(task), few)
            self._ready = cell.id, prepared
            seen = prepared.setup.audit
            if seen.declared_random and not seen.random:
                NOTES.say(
                    f"purifier '{cell.purifier.label}' says that it is random, and is not: it is judged on one draw, without EOT"
                )
        return self._ready[1]

    def _data(self, cell: Cell, data_hash: str) -> dict[str, Any]:
        """What the record says of the data; their samples have been read for the hash."""
        part, piece = cell.dataset, cell.slice
        return {
            "sha256": data_hash,
            "duplicates": self.components.repeats(part, piece),
            "class_names": self.components.dataset(part).class_names,
            "told": data_told(cell, self.components),
        }

    def _concluded(self, cell: Cell, prepared: Prepared, parts: Sequence[Evaluated]) -> Concluded:
        finished = conclude(prepared, parts)
        images = _policy(finished, self.images)
        data_hash = self.components.data_hash(cell.dataset, prepared.ids)
        record = done(cell, prepared, finished, self._data(cell, data_hash), images)
        return Concluded(record, finished.outcome.samples, _kept(finished, images), finished.gallery)


def _free() -> None:
    """Gives back what nothing holds any more."""
    gc.collect()
    with suppress(RuntimeError):  # a device that has failed
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class _Told:
    """Hands on the number of samples that are done; those that are done once more are not told again."""

    def __init__(self, on_done: Callable[[int], None]) -> None:
        self.on_done, self.seen, self.told = on_done, 0, 0

    def begin(self) -> None:
        """All samples are still to be done."""
        self.seen = 0

    def __call__(self, count: int) -> None:
        """So many more are done."""
        self.seen += count
        if self.seen > self.told:
            self.on_done(self.seen - self.told)
            self.told = self.seen


def _by_batch(seen: Audit) -> bool:
    """Whether the results of a model may depend on how many images it is shown together: then their number is not left to a clock."""
    return seen.batch_dependent or seen.global_generator or not seen.reproducible


STATE = "weights"
"""Key of a chunk's meta: hash of the parameters and buffers that its samples were attacked with; all other keys are counts."""


def evaluated_of(folder: RunFolder, cell: Cell) -> list[Evaluated]:
    """The finished samples of a cell in a run folder."""
    chunks, _ = folder.read_chunks(cell.id)
    return [Evaluated(one.arrays, {name: n for name, n in one.meta.items() if name != STATE}) for one in chunks]


def _policy(finished: Finished, images: str) -> str:
    small = max(finished.whole.arrays[column.IMAGES].shape[2:]) <= KEPT_SIDE
    return ("all" if small else "fooled") if images == "auto" else images


def _kept(finished: Finished, policy: str) -> np.ndarray | None:
    ids = finished.whole.arrays[column.SAMPLE]
    if policy == "none":
        return None
    return ids if policy == "all" else ids[finished.outcome.samples[column.ROBUST] < 1]
