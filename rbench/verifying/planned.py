"""What the suite beside the results asks for, against what is there: cells, names and policies. No model, no torch."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rbench.elsewhere import portable
from rbench.results import taken_out
from rbench.results.duplicates import same_batch_size, work_of
from rbench.results.runs import ReadCell
from rbench.suite import cell as rules
from rbench.suite.cell import Cell, lasting, shown_attack
from rbench.suite.plan import Plan

_PARTS: tuple[Literal["dataset", "backbone", "purifier", "attack"], ...] = (
    "dataset",
    "backbone",
    "purifier",
    "attack",
)
"""The parts that have a label in tables, and files."""


@dataclass(frozen=True)
class Asked:
    """What the suite says of a recorded cell.

    Attributes:
        cell: as it is planned today; None if it is not.
        faults: where record and suite, or the row and the suite, do not agree, one line each.
        notes: what a reader should know all the same.
    """

    cell: Cell | None
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def older(document: Mapping[str, Any]) -> str:
    """Why a cell of another version of the rules cannot be judged again; empty if it is of this one.

    Args:
        document: the content of the recorded cell.
    """
    judge = document.get("judge")
    if judge == rules.JUDGE_VERSION:
        return ""
    return f"judged by version {judge} of the rules, this rbench judges by version {rules.JUDGE_VERSION}"


def asked_of(read: Sequence[ReadCell], plan: Plan) -> tuple[dict[str, Asked], tuple[str, ...]]:
    """What the suite says of each done cell, by its id, and of rows that are not complete.

    A planned cell that `cells.jsonl` has and that has no result was not run, and its row has no number. One that neither has a record nor
    a line there was taken out: the worst case shown is over fewer attacks than were planned, which is a fault of every cell of that row.

    Args:
        read: every cell of the folder.
        plan: the suite, planned today.
    """
    planned = by_work(plan.cells)
    mine = [cell for cell in read if not (older(cell.document) or cell.id.startswith(taken_out.ID))]
    known = {cell.id: planned_cell(cell.document, planned) for cell in mine}
    there = {found.id for found in known.values() if found is not None}
    rows: dict[str, list[Cell]] = defaultdict(list)
    for one in plan.cells:
        rows[_row(one.document())].append(one)
    asked = {}
    for cell in mine:
        if cell.status == "done":
            row = rows.get(_row(cell.document), [])
            lacking = [one for one in row if one.id not in there]
            asked[cell.id] = _asked(cell, known[cell.id], plan.spec.store.images, lacking, len(row))
    everything = not any(older(cell.document) for cell in read)
    return asked, tuple(_incomplete(mine, rows) if everything else ())


def _asked(read: ReadCell, cell: Cell | None, images: str, lacking: Sequence[Cell], planned: int) -> Asked:
    if cell is None:
        return Asked(None, ("suite.yaml beside the results does not ask for this cell",))
    assert read.record is not None
    faults, notes = differences(read.record.cell, cell.document())
    faults += _names(read, cell)
    if read.record.images not in (None, *(("all", "fooled") if images == "auto" else (images,))):
        faults.append(f"images: '{read.record.images}' are stored, suite.yaml keeps '{images}' (store.images)")
    if lacking:
        names = ", ".join(missing.attack.label for missing in lacking)
        faults.append(
            f"row: {planned - len(lacking)} of {planned} planned cells; suite.yaml plans {names}, of which there is neither a record nor a "
            "line in cells.jsonl"
        )
    return Asked(cell, tuple(faults), tuple(notes))


def _incomplete(read: Sequence[ReadCell], rows: Mapping[str, Sequence[Cell]]) -> Iterator[str]:
    """The rows of which not all was run; no forgery, since they have no number."""
    here: dict[str, list[ReadCell]] = defaultdict(list)
    for cell in read:
        here[_row(cell.document)].append(cell)
    for row, cells in rows.items():
        undone = [cell for cell in here[row] if cell.status != "done"]
        done = len(here[row]) - len(undone)
        if undone or not here[row]:
            first = cells[0]
            names = ", ".join(f"{cell.label('attack')} {cell.status}" for cell in undone) or "no line in cells.jsonl"
            yield (
                f"{first.purifier.label} on {first.backbone.label}, {first.threat.norm} {first.threat.eps.text}: incomplete: {done} of "
                f"{len(cells)} planned cells ({names})"
            )


def _names(read: ReadCell, cell: Cell) -> Iterator[str]:
    """What tables print that is not what the suite calls it."""
    for part in _PARTS:
        planned = getattr(cell, part)
        called = shown_attack(planned.label, cell.after, cell.precision) if part == "attack" else planned.label
        if called not in (read.label(part), portable(read.label(part))):  # older records have the whole path
            yield f"{part}: shown as '{read.label(part)}', suite.yaml calls it '{called}'"
        recorded = getattr(read.record, part)
        if recorded.name != planned.name:
            yield f"{part}: '{recorded.name}' in the record, suite.yaml asks for '{planned.name}'"


def _row(document: Mapping[str, Any]) -> str:
    """What the cells of one row share."""
    return json.dumps({key: value for key, value in lasting(document).items() if key != "attack"}, sort_keys=True)


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


def differences(
    then: Mapping[str, Any], now: Mapping[str, Any], parts: Iterable[str] = _PARTS
) -> tuple[list[str], list[str]]:
    """Other files are a fault, other code is a note: what the code makes of the images is judged.

    Args:
        then: the content of the recorded cell.
        now: that of today's.
        parts: which of it are components.
    """
    faults, notes = list[str](), list[str]()
    for name in parts:
        before, after = (document[name].get("files", {}) for document in (then, now))
        changed = sorted(file for file in before.keys() | after.keys() if before.get(file) != after.get(file))
        faults += [f"{name}: {file} is not the file that was judged (sha256)" for file in changed]
        if then[name].get("version") != now[name].get("version"):
            notes.append(
                f"{name} '{then[name].get('name')}': its code is not that of the run; judged with the code that is here"
            )
    return faults, notes
