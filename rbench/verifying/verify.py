"""Verifying a run folder: the files against the suite, the stored examples against the models, the survivors against new attacks."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rbench.engine.settled import Settled
from rbench.errors import CellFailed
from rbench.results import sample_columns as column
from rbench.results.hashes import file_hash
from rbench.results.runs import ReadCell, read_runs
from rbench.results.store import RunFolder
from rbench.results.table import Table, table
from rbench.results.verification import Reattack, Rerun, Verification
from rbench.results.versions import versions
from rbench.running.cascade import settled_before
from rbench.running.components import Components
from rbench.running.prepare import Prepared
from rbench.suite.plan import Plan
from rbench.verifying.blame import blamed
from rbench.verifying.files import contradictions, kept, never_kept
from rbench.verifying.fresh import Ask, asked_afresh
from rbench.verifying.planned import Asked, asked_of, older
from rbench.verifying.reattack import attack_survivors
from rbench.verifying.rejudge import Recorded, Rejudge, Rejudged
from rbench.verifying.rerun import run_again
from rbench.verifying.survivors import ENOUGH, Claim, left_of, right_draws
from rbench.verifying.verdict import Verdict, Verified

NEVER_KEPT = "no examples kept"


@dataclass(frozen=True)
class Demand:
    """How much is to be verified.

    Attributes:
        survivors: of each row to attack again; 30 leave at most a tenth of them false where none falls.
        audit: run every cell again with another seed, order and batch size.
        batch_size: images at once.
    """

    survivors: int = 30
    audit: bool = False
    batch_size: int = 64


@dataclass
class _Work:
    folder: RunFolder
    demand: Demand
    asked: dict[str, Asked]
    rejudge: Rejudge
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Judged:
    """A cell on its way to a verdict."""

    cell: ReadCell
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unjudged: str = ""
    rejudged: Rejudged | None = None
    reattack: Reattack | None = None
    rerun: Rerun | None = None

    @property
    def prepared(self) -> Prepared | None:
        return self.rejudged.prepared if self.rejudged else None


def verify(
    root: Path,
    plan: Plan,
    components: Components,
    demand: Demand,
    on_verdict: Callable[[Verdict], None] = lambda verdict: None,
) -> Verified:
    """Verifies every done cell of a run folder and keeps the evidence in it; takes `verified` back where a fault is found.

    Args:
        root: the run folder, locked by the caller.
        plan: of the suite beside the results, made today.
        components: loads models and data.
        demand: how much is to be verified.
        on_verdict: called with each verdict as it is reached.

    Raises:
        InputError: no such folder, or a component is wrong.
        MissingError: a file or module is missing, or the folder cannot be written.
    """
    rows = Rows(root, plan, components, demand)
    return concluded(rows, map(rows.judged, rows.names), on_verdict)


def concluded(
    rows: "Rows", judged: Iterable["JudgedRow"], on_verdict: Callable[[Verdict], None] = lambda verdict: None
) -> Verified:
    """Keeps the evidence of all rows in the folder, and says what was found.

    Args:
        rows: of the folder.
        judged: what was found of each of them, in their order.
        on_verdict: called with each verdict as it is reached.
    """
    verdicts, notes = [], list(rows.work.notes)
    for row in judged:
        notes += row.notes
        for one in row.cells:
            verdicts.append(_keep(one, rows.work.folder))
            on_verdict(verdicts[-1])
    for cell in rows.runs.cells:
        if cell.status != "done":
            rows.work.folder.drop_verification(cell.id)
    return Verified(tuple(verdicts), rows.runs.broken, tuple(dict.fromkeys(notes)))


@dataclass(frozen=True)
class JudgedRow:
    """What was found of a row: its cells on their way to verdicts, and lines that the user should see."""

    cells: tuple[_Judged, ...]
    notes: tuple[str, ...]


class Rows:
    """The rows of a run folder, each of which can be judged by itself.

    Attributes:
        runs: what was read.
        names: of each row the id of one of its cells, and the seconds that its attacks took. Verified rows come first, so places change.
        work: what judging them needs.
    """

    def __init__(self, root: Path, plan: Plan, components: Components, demand: Demand) -> None:
        """Reads the folder and plans its suite anew; arguments as in `verify`."""
        folder, self.runs = RunFolder(root), read_runs([root])
        self._found = table(self.runs)
        self.names = {parts[0].id: sum(map(_seconds, parts)) for parts in self._found.cells}
        asked, notes = asked_of(self.runs.cells, plan)
        rejudge = Rejudge(components, folder, demand.batch_size, plan.spec.store.images)
        self.work = _Work(folder, demand, asked, rejudge, list(notes))

    def judged(self, name: str, ask: Ask = asked_afresh) -> JudgedRow:
        """What is found of a row.

        Args:
            name: the id of one of its cells.
            ask: asks the fresh process that is to judge it.
        """
        known, row = len(self.work.notes), list(self.names).index(name)
        parts, outcome = self._found.cells[row], self._found.outcomes[row]
        judged = _judge([cell for cell in parts if cell.status == "done"], self.work, ask)
        if outcome is not None and judged and not any(one.faults or one.unjudged for one in judged):
            judged = _attack(judged, _claim(self._found, row, outcome), self.work)
        notes, self.work.notes[known:] = self.work.notes[known:], []
        # Models stay here: they are not needed any more, and cannot be sent to another process.
        cells = [replace(one, rejudged=one.rejudged and replace(one.rejudged, prepared=None)) for one in judged]
        return JudgedRow(tuple(cells), tuple(notes))


def _seconds(cell: ReadCell) -> float:
    return 0.0 if cell.record is None else cell.record.cost.seconds


def _judge(row: Sequence[ReadCell], work: _Work, ask: Ask) -> list[_Judged]:
    """The done cells of a row: held against the files and the suite, then judged again together."""
    judged = [_from_files(cell, work) for cell in row]
    open_ = [place for place, one in enumerate(judged) if not (one.faults or one.unjudged)]
    again = work.rejudge([_recorded(judged[place].cell, work) for place in open_], ask)
    for place, rejudged in zip(open_, again, strict=True):
        judged[place] = replace(judged[place], faults=rejudged.faults, rejudged=rejudged)
    return judged


def _recorded(read: ReadCell, work: _Work) -> Recorded:
    cell = work.asked[read.id].cell
    assert cell is not None
    assert read.record is not None
    return Recorded(cell, read.record, read.samples)


def _from_files(read: ReadCell, work: _Work) -> _Judged:
    assert read.record is not None
    old = older(read.document)
    faults = contradictions(work.folder, read.record, read.samples, read.document, old=bool(old))
    if old:
        return _Judged(read, tuple(faults), unjudged=old)
    said = work.asked[read.id]
    unjudged = NEVER_KEPT if never_kept(read.record) and not kept(work.folder, read.record) else ""
    return _Judged(read, (*faults, *said.faults), said.notes, unjudged)


def _claim(found: Table, row: int, outcome: np.ndarray) -> Claim:
    fields, cells = found.rows()[row], found.cells[row]
    tables = [cell.samples for cell in cells if cell.samples is not None]
    records = [cell.record for cell in cells if cell.record is not None]
    return Claim(
        fields["robust_accuracy"],
        fields["robust_low"],
        tables[0][column.SAMPLE].to_numpy(),
        outcome,
        right_draws(tables),
        min(record.protocol.draws for record in records),
        records[0].protocol.decide,
        bool(records[0].purifier.stochastic),
    )


def _attack(judged: list[_Judged], claim: Claim, work: _Work) -> list[_Judged]:
    order = sorted(range(len(judged)), key=lambda place: _left(judged[place]))
    first, wanted = order[0], work.demand.survivors
    ready = [judged[place].prepared for place in order]
    row = [prepared for prepared in ready if prepared is not None]
    title = "/".join(judged[first].cell.label(part) for part in ("backbone", "purifier"))
    if wanted and len(row) == len(judged):
        names = [judged[place].cell.label("attack") for place in order]
        try:
            with blamed(title):
                found, faults = attack_survivors(row, names, claim, wanted)
        except CellFailed as error:
            found, faults = None, [f"attacking survivors again: {error}"]
        judged[first] = replace(judged[first], reattack=found, faults=tuple(faults))
    work.notes += [*_fell(judged[first], claim, title), *_too_few(judged, first, claim, title)]
    return [_again(one, title, work) for one in judged] if work.demand.audit else judged


def _fell(judged: _Judged, claim: Claim, title: str) -> list[str]:
    """That survivors fell, fewer than refute the row, and what they leave of its claim."""
    again = judged.reattack
    if again is None or judged.faults or again.fell <= again.by_chance:
        return []
    left = left_of(claim, again.fell - again.by_chance)
    said = f"{again.fell} of {again.attacked} survivors fell to another seed, so at most {100 * left:.1f} % are robust"
    return [f"{title}: {said}, where the row says {100 * claim.value:.1f} %"]


def _too_few(judged: Sequence[_Judged], first: int, claim: Claim, title: str) -> list[str]:
    """That a row claims survivors and hardly any of them was attacked; nothing where it is refuted anyway."""
    reattack = judged[first].reattack
    tried = reattack.attacked if reattack else 0
    if tried >= ENOUGH or not len(claim.survivors) or any(one.faults for one in judged):
        return []
    there = f"{tried} of {len(claim.survivors)} survivors attacked again"
    return [f"{title}: {there}, too few to verify robustness ({ENOUGH} are needed)"]


def _again(one: _Judged, title: str, work: _Work) -> _Judged:
    record, samples = one.cell.record, one.cell.samples
    if one.prepared is None or samples is None or record is None:
        return one
    try:
        with blamed(title):
            found, faults = run_again(one.prepared, record, samples, _settled(one, work))
    except CellFailed as error:
        return replace(one, faults=(*one.faults, f"running it again: {error}"))
    return replace(one, rerun=found, faults=(*one.faults, *faults))


def _settled(one: _Judged, work: _Work) -> Settled | None:
    cell, record = work.asked[one.cell.id].cell, one.cell.record
    return settled_before(work.folder, cell, record) if cell and record else None


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
    if older(one.cell.document) and not one.faults:
        return Verdict(one.cell, (), one.notes, unjudged=one.unjudged)  # what other rules have verified is theirs
    if one.faults or not (rejudged and record and samples and images):
        folder.drop_verification(cell_id)
        return Verdict(one.cell, one.faults, one.notes, unjudged="" if one.faults else one.unjudged)
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
