"""One cell from its first span to its record; if it fails, the record says so and why."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from rbench.engine.evaluation import Evaluated
from rbench.errors import CellFailed, RbenchError
from rbench.process_state import said, users_own
from rbench.results import sample_columns as column
from rbench.results.record import Record
from rbench.results.store import RunFolder
from rbench.running.components import Components
from rbench.running.conclude import Finished, conclude
from rbench.running.prepare import Prepared, prepare
from rbench.running.record import blank, done
from rbench.running.span import run_span
from rbench.suite.cell import Cell

KEPT_SIDE = 64
"""With `images: auto`, all adversarial images of up to this many pixels a side are stored, and of larger ones only those that fool."""

_STATE = "weights"
"""Key of a chunk's meta: hash of the parameters and buffers that its samples were attacked with."""


@dataclass(frozen=True)
class Work:
    """What running a cell needs beside the cell.

    Attributes:
        components: loaded models, data and attacks.
        folder: where chunks and results go.
        images: which adversarial images are stored.
        batch_size: samples at once for our own attacks.
        on_done: called with the number of samples that are done.
        on_note: called with a line the user should see, e.g. on a chunk that cannot be read.
    """

    components: Components
    folder: RunFolder
    images: str
    batch_size: int
    on_done: Callable[[int], None]
    on_note: Callable[[str], None]


def run_cell(cell: Cell, work: Work) -> Record:
    """Runs what is missing of a cell and writes its results.

    A rule of judging that is broken, and any exception of a model or an attack, becomes a failed record with the sample ids where they
    are known; it is never counted as robust or as fooled.
    """
    try:
        prepared = prepare(cell, work.components, work.batch_size)
        finished = conclude(prepared, _spans(cell, prepared, work))
    except CellFailed as error:
        record = blank(cell, "failed", str(error), error.sample_ids)
    except RbenchError:
        raise
    except BaseException as error:  # `SystemExit` as well: a model that ends the process has no verdict
        if users_own(error):
            raise
        record = blank(cell, "failed", said(error), ())
    else:
        images = _policy(finished, work.images)
        record = done(cell, prepared, finished, work.components.data_hash(cell.dataset, prepared.ids), images)
        work.folder.finish(record, finished.outcome.samples, _kept(finished, images), finished.gallery)
        return record
    work.components.forget_models()  # the failure may have changed them: the next cell gets fresh ones
    work.folder.finish(record)
    return record


def _spans(cell: Cell, prepared: Prepared, work: Work) -> list[Evaluated]:
    """All samples of the cell: those of an earlier run, and the rest span by span, each kept before the next begins."""
    ids = prepared.ids
    parts = _earlier(cell, prepared, work)
    size = prepared.setup.attack.chunk(work.batch_size)
    for start, stop in _gaps(parts, len(ids), size):
        evaluated = run_span(prepared, ids[start:stop], work.on_done)
        meta = {**evaluated.counts, _STATE: prepared.setup.weights}
        work.folder.write_chunk(cell.id, start, stop, evaluated.arrays, meta)
        parts[start, stop] = evaluated
    return list(parts.values())


def _earlier(cell: Cell, prepared: Prepared, work: Work) -> dict[tuple[int, int], Evaluated]:
    """Chunks of an earlier run that cover the slice without overlap, made with these weights."""
    kept: dict[tuple[int, int], Evaluated] = {}
    end = 0
    chunks, notes = work.folder.read_chunks(cell.id)
    for note in notes:
        work.on_note(note)
    for chunk in sorted(chunks, key=lambda c: c.start):
        same = np.array_equal(chunk.arrays.get(column.SAMPLE, ()), prepared.ids[chunk.start : chunk.stop])
        state = chunk.meta.pop(_STATE, None)
        if state != prepared.setup.weights:
            work.on_note(
                f"cell {cell.id} ({cell.title}): samples {chunk.start} to {chunk.stop - 1} were attacked with other weights; done again."
            )
        elif chunk.start >= end and same:
            kept[chunk.start, chunk.stop] = Evaluated(chunk.arrays, chunk.meta)
            end = chunk.stop
            work.on_done(chunk.stop - chunk.start)
    return kept


def _gaps(parts: Iterable[tuple[int, int]], count: int, size: int) -> Iterator[tuple[int, int]]:
    """What is left between finished chunks, which may be of another batch size, in pieces of at most `size`."""
    position = 0
    for start, stop in [*sorted(parts), (count, count)]:
        for first in range(position, start, size):
            yield first, min(first + size, start)
        position = stop


def _policy(finished: Finished, images: str) -> str:
    small = max(finished.whole.arrays[column.IMAGES].shape[2:]) <= KEPT_SIDE
    return ("all" if small else "fooled") if images == "auto" else images


def _kept(finished: Finished, policy: str) -> tuple[np.ndarray, np.ndarray] | None:
    pixels, ids = finished.whole.arrays[column.IMAGES], finished.whole.arrays[column.SAMPLE]
    if policy == "none":
        return None
    if policy == "all":
        return pixels, ids
    fooled = finished.outcome.samples[column.ROBUST] < 1
    return pixels[fooled], ids[fooled]
