"""The verdict on a cell's record, and the part of it that needs no model."""

from dataclasses import dataclass
from pathlib import Path

from rbench.results.runs import Broken, ReadCell, read_runs
from rbench.results.store import RunFolder
from rbench.results.verification import Verification
from rbench.verifying.files import contradictions


@dataclass(frozen=True)
class Verdict:
    """What verifying has found of one done cell.

    Attributes:
        cell: as read.
        faults: why its record is not to be believed, one line each; empty if it is.
        notes: what a reader should know all the same.
        evidence: what was kept of judging it again; None where it was not, or a fault was found.
    """

    cell: ReadCell
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    evidence: Verification | None = None


def offline(root: Path) -> tuple[list[Verdict], tuple[Broken, ...]]:
    """The files of every done cell against each other, and those that could not be read; nothing becomes verified by it.

    Raises:
        InputError: no such folder, or no records in it.
    """
    runs, folder = read_runs([root]), RunFolder(root)
    found = [
        Verdict(cell, tuple(contradictions(folder, cell.record, cell.samples, cell.document)))
        for cell in runs.cells
        if cell.record is not None and cell.samples is not None
    ]
    return found, runs.broken
