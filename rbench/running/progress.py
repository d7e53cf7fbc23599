"""How far a run is."""

from dataclasses import dataclass

from rbench.results.record import Record
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
