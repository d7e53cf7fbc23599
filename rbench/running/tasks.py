"""What a worker is asked to do with a cell, and what it answers. None of it holds a model, so all of it can go to another process."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rbench.engine.evaluation import Evaluated
from rbench.engine.settled import Settled
from rbench.errors import InputError
from rbench.results.corruption_record import CorruptionRecord, Judged
from rbench.results.gallery import Gallery
from rbench.results.record import Record
from rbench.running.measured import Measured
from rbench.suite.cell import Cell
from rbench.suite.corruptions import CorruptedCell


@dataclass(frozen=True)
class Weigh:
    """Say which parameters and buffers the defended model of a cell has."""

    cell: Cell


@dataclass(frozen=True)
class Check:
    """Make all that the cells of one defended model name, and show it two images."""

    cells: tuple[Cell, ...]

    @property
    def cell(self) -> Cell:
        """The first of them, which has the model of all."""
        return self.cells[0]


@dataclass(frozen=True)
class Prepare:
    """Load and audit the cell.

    Attributes:
        cell: the cell.
        batch: images at once; None: the worker finds out.
    """

    cell: Cell
    batch: int | None = None


@dataclass(frozen=True)
class Attack:
    """Attack and judge the samples `start` up to, not including, `stop` of the cell's slice.

    `batch` as for `Prepare`; `settled` are samples that need no attack.
    """

    cell: Cell
    start: int
    stop: int
    batch: int | None = None
    settled: Settled | None = None


@dataclass(frozen=True)
class Conclude:
    """Make the record of the cell from its finished samples, the chunks of the run folder `root`; `batch` as for `Prepare`."""

    cell: Cell
    root: Path
    batch: int | None = None


@dataclass(frozen=True)
class Corrupt:
    """Judge the corrupted images of a cell; `batch` as for `Prepare`.

    Attributes:
        corrupted: the cell.
    """

    corrupted: CorruptedCell
    batch: int | None = None

    @property
    def cell(self) -> Cell:
        """A cell with the same model and samples, by which they are loaded and audited."""
        return self.corrupted.probe


InBatches = Prepare | Attack | Conclude | Corrupt
"""Those that show a model batches of a size that is chosen for it."""
Task = Weigh | Check | InBatches


@dataclass(frozen=True)
class Weighed:
    """Hash of the parameters and buffers of a defended model; None where it is refused."""

    weights: str | None


@dataclass(frozen=True)
class Checked:
    """What can be said of some cells before the first one runs.

    Attributes:
        samples: of all of them.
        problems: what is wrong with the suite, so that nothing is run.
        doubt: why they will fail, where the defended model fails on two images; None where it does not.
        told: what a user should know of their data, a line each.
    """

    samples: int
    problems: tuple[InputError, ...] = ()
    doubt: str | None = None
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ready:
    """The cell can be attacked.

    Attributes:
        ids: int64 [N] its samples, ascending.
        weights: hash of the parameters and buffers of the defended model.
        chunk: samples that are attacked and stored together.
        batch: images at once.
        apart: whether fewer may be, since no sample depends on another.
    """

    ids: np.ndarray
    weights: str
    chunk: int
    batch: int
    apart: bool


@dataclass(frozen=True)
class Attacked:
    """Finished samples, and the hash of the parameters and buffers that they were attacked with."""

    evaluated: Evaluated
    weights: str


@dataclass(frozen=True)
class Concluded:
    """What a finished cell leaves; see `RunFolder.finish`.

    Attributes:
        record: of the cell.
        samples: its columns.
        kept: int64 [M] ids of the samples whose images are stored, which lie in the chunks; None where none is.
        gallery: pictures.
    """

    record: Record
    samples: Mapping[str, Any]
    kept: np.ndarray | None
    gallery: Gallery


@dataclass(frozen=True)
class Failed:
    """The cell has no verdict.

    Attributes:
        error: why, in one line.
        samples: ids of those that broke a rule, where they are known.
    """

    error: str
    samples: tuple[int, ...] = ()


@dataclass(frozen=True)
class Corrupted:
    """What a finished cell of a corruption leaves: its record and its samples."""

    record: CorruptionRecord
    judged: Judged


Result = Corrupted | Weighed | Checked | Ready | Attacked | Concluded | Failed


@dataclass(frozen=True)
class Answer:
    """What came of a task.

    Attributes:
        task: what was asked.
        result: what came of it.
        notes: lines that the user should see.
        measured: what was measured of the defended model, to be kept.
    """

    task: Task
    result: Result
    notes: tuple[str, ...] = ()
    measured: tuple[Measured, ...] = ()
