"""The verdict on a cell's record, and the part of it that needs no model."""

from dataclasses import dataclass
from pathlib import Path

from rbench.results.runs import Broken, ReadCell, read_runs
from rbench.results.store import RunFolder
from rbench.results.verification import Verification
from rbench.suite.plan import Plan
from rbench.verifying.corruptions import as_cell, held
from rbench.verifying.files import contradictions
from rbench.verifying.planned import Asked, asked_of, older


@dataclass(frozen=True)
class Verdict:
    """What verifying has found of one done cell.

    Attributes:
        cell: as read.
        faults: why its record is not to be believed, one line each; empty if it is.
        notes: what a reader should know all the same.
        evidence: what was kept of judging it again; None where it was not, or a fault was found.
        unjudged: why it cannot be judged again though nothing is wrong with it; empty if it was, or was not to be.
    """

    cell: ReadCell
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    evidence: Verification | None = None
    unjudged: str = ""


@dataclass(frozen=True)
class Verified:
    """What verifying has found of a run folder.

    Attributes:
        verdicts: on every done cell.
        broken: files that could not be read.
        notes: on rows and on the folder, one line each.
    """

    verdicts: tuple[Verdict, ...]
    broken: tuple[Broken, ...] = ()
    notes: tuple[str, ...] = ()


def offline(root: Path, plan: Plan | None = None) -> Verified:
    """The files of every done cell against each other and against the suite; nothing becomes verified by it.

    Args:
        root: the run folder.
        plan: the suite beside the results, planned today; None where it cannot be planned here.

    Raises:
        InputError: no such folder, or no records in it.
    """
    runs, folder = read_runs([root]), RunFolder(root)
    asked, notes = ({}, ()) if plan is None else asked_of(runs.cells, plan)
    verdicts = []
    for cell in runs.cells:
        if cell.record is None or cell.samples is None:
            continue
        found = asked.get(cell.id, Asked(None))
        unjudged = older(cell.document)
        faults = contradictions(folder, cell.record, cell.samples, cell.document, old=bool(unjudged))
        verdicts.append(Verdict(cell, (*faults, *found.faults), found.notes, unjudged=unjudged))
    verdicts += [
        Verdict(as_cell(one), tuple(faults), tuple(said), unjudged=why)
        for one, _, faults, said, why in held(runs.corrupted, plan)
    ]
    return Verified(tuple(verdicts), runs.broken, notes)
