"""Verifying a run folder: the files against each other, the stored examples against the models, the survivors against a new attack."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rbench.results import sample_columns as column
from rbench.results.duplicates import same_batch_size, work_of
from rbench.results.hashes import file_hash
from rbench.results.runs import Broken, ReadCell, read_runs
from rbench.results.store import RunFolder
from rbench.results.table import Table, table
from rbench.results.verification import Reattack, Rerun, Verification
from rbench.results.versions import versions
from rbench.running.components import Components
from rbench.running.prepare import Prepared
from rbench.suite.cell import Cell
from rbench.verifying.files import contradictions
from rbench.verifying.reattack import Claim, attack_survivors, run_again
from rbench.verifying.rejudge import Rejudge, Rejudged
from rbench.verifying.verdict import Verdict


@dataclass(frozen=True)
class Demand:
    """How much is to be verified.

    Attributes:
        survivors: of each row to attack again, with its strongest attack.
        audit: run every cell again with another seed, order and batch size.
        batch_size: images at once.
    """

    survivors: int = 10
    audit: bool = False
    batch_size: int = 256


@dataclass
class _Work:
    folder: RunFolder
    components: Components
    demand: Demand
    planned: dict[str, list[Cell]]
    rejudge: Rejudge = field(init=False)

    def __post_init__(self) -> None:
        self.rejudge = Rejudge(self.components, self.folder, self.demand.batch_size)


@dataclass(frozen=True)
class _Judged:
    """A cell on its way to a verdict."""

    cell: ReadCell
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    rejudged: Rejudged | None = None
    reattack: Reattack | None = None
    rerun: Rerun | None = None

    @property
    def prepared(self) -> Prepared | None:
        return self.rejudged.prepared if self.rejudged else None


def verify(
    root: Path,
    cells: Sequence[Cell],
    components: Components,
    demand: Demand,
    on_verdict: Callable[[Verdict], None] = lambda verdict: None,
) -> tuple[list[Verdict], tuple[Broken, ...]]:
    """Verifies every done cell of a run folder and keeps the evidence in it; takes `verified` back where a fault is found.

    Args:
        root: the run folder, locked by the caller.
        cells: what its suite plans today.
        components: loads models and data.
        demand: how much is to be verified.
        on_verdict: called with each verdict as it is reached.

    Returns:
        The verdicts, and the files that could not be read.

    Raises:
        InputError: no such folder, or a component is wrong.
        MissingError: a file or module is missing, or the folder cannot be written.
    """
    folder, runs = RunFolder(root), read_runs([root])
    found = table(runs)
    work = _Work(folder, components, demand, by_work(cells))
    verdicts = []
    for row, (parts, outcome) in enumerate(zip(found.cells, found.outcomes, strict=True)):
        judged = [_judge(cell, work) for cell in parts if cell.status == "done"]
        if outcome is not None and not any(one.faults for one in judged):
            judged = _attack(judged, _claim(found, row, outcome), work)
        for one in judged:
            verdicts.append(_keep(one, folder))
            on_verdict(verdicts[-1])
    for cell in runs.cells:
        if cell.status != "done":
            folder.drop_verification(cell.id)
    return verdicts, runs.broken


def _judge(read: ReadCell, work: _Work) -> _Judged:
    assert read.record is not None
    if faults := contradictions(work.folder, read.record, read.samples, read.document):
        return _Judged(read, tuple(faults))
    if read.record.images == "none":
        return _Judged(read, ("no examples were stored (store.images is none): nothing to judge again",))
    cell = planned_cell(read.record.cell, work.planned)
    if cell is None:
        return _Judged(read, ("suite.yaml beside the results does not ask for this cell",))
    faults, notes = _differences(read.record.cell, cell.document())
    if faults:
        return _Judged(read, tuple(faults), tuple(notes))
    rejudged = work.rejudge(cell, read.record, read.samples)
    return _Judged(read, rejudged.faults, tuple(notes), rejudged)


def by_work(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Planned cells by what they do, see `work_of`."""
    planned: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        planned[work_of(cell.document())].append(cell)
    return planned


def planned_cell(document: Mapping[str, Any], planned: Mapping[str, list[Cell]]) -> Cell | None:
    """The cell of today's plan that a recorded one is; None if the plan has none.

    Args:
        document: the content of the recorded cell, with its id.
        planned: today's plan, as `by_work` gives it.
    """
    fitting = [cell for cell in planned.get(work_of(document), []) if same_batch_size(cell.document(), document)]
    # Two files of one name in two folders make two cells of the same work; an equal id says which.
    return next((cell for cell in fitting if cell.id == document.get("id")), next(iter(fitting), None))


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Other weights are a fault, other code is a note: what the code makes of the examples is judged."""
    faults, notes = [], []
    if then.get("judge") != now.get("judge"):
        notes.append(f"judged by version {then.get('judge')} of the rules, now {now.get('judge')}")
    for name in ("backbone", "purifier", "attack"):
        before, after = (document[name].get("files", {}) for document in (then, now))
        changed = sorted(file for file in before.keys() | after.keys() if before.get(file) != after.get(file))
        faults += [f"{name}: {file} is not the file that was judged (sha256)" for file in changed]
        if then[name].get("version") != now[name].get("version"):
            notes.append(f"{name} '{then[name].get('name')}': its code has changed since")
    return faults, notes


def _claim(found: Table, row: int, outcome: np.ndarray) -> Claim:
    fields, samples = found.rows()[row], found.cells[row][0].samples
    assert samples is not None
    return Claim(fields["robust_accuracy"], fields["robust_low"], samples[column.SAMPLE].to_numpy()[outcome >= 0.5])


def _attack(judged: list[_Judged], claim: Claim, work: _Work) -> list[_Judged]:
    place = min(range(len(judged)), key=lambda place: _left(judged[place]))
    strongest = judged[place]
    if work.demand.survivors and strongest.prepared:
        found, faults = attack_survivors(strongest.prepared, claim, work.demand.survivors)
        judged[place] = replace(strongest, reattack=found, faults=tuple(faults))
    return [_again(one) for one in judged] if work.demand.audit else judged


def _again(one: _Judged) -> _Judged:
    samples = one.cell.samples
    if one.prepared is None or samples is None:
        return one
    found, faults = run_again(one.prepared, samples[column.ROBUST].to_numpy())
    return replace(one, rerun=found, faults=(*one.faults, *faults))


def _left(one: _Judged) -> tuple[float, bool]:
    """The share of samples that survive an attack; of equals, one that does not ignore the purifier comes first."""
    record = one.cell.record
    assert record is not None
    assert record.summary is not None
    return record.summary.robust_accuracy.value, record.attack.gradient == "blind"


def _keep(one: _Judged, folder: RunFolder) -> Verdict:
    cell_id, rejudged = one.cell.id, one.rejudged
    record, samples, images = (
        file_hash(path(cell_id)) for path in (folder.record_path, folder.samples_path, folder.images_path)
    )
    if one.faults or not (rejudged and record and samples and images):
        folder.drop_verification(cell_id)
        return Verdict(one.cell, one.faults, one.notes)
    evidence = Verification(
        cell=cell_id,
        record_sha256=record,
        samples_sha256=samples,
        images_sha256=images,
        examples=rejudged.examples,
        near_ties=rejudged.near_ties,
        largest_distance=rejudged.largest_distance,
        passes=rejudged.passes,
        seconds=round(rejudged.seconds, 3),
        reattack=one.reattack,
        rerun=one.rerun,
        provenance=versions(),
    )
    folder.write_verification(evidence)
    return Verdict(one.cell, (), one.notes, evidence)
