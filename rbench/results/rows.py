"""Cells of several run folders put together: which of them make one row."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from rbench.results import sample_columns as column
from rbench.results.duplicates import changes, one_of_each
from rbench.results.runs import ReadCell
from rbench.results.samples import numbers
from rbench.suite.cell import lasting

_MODEL = ("dataset", "backbone", "purifier")


class JudgedOn(NamedTuple):
    """What a done cell was judged on.

    Attributes:
        data: hash of the images and labels; None in records that lack it.
        ids: hash of the samples' ids and labels, in order.
        weights: hash of the weights of purifier and backbone; None in records that lack it.
    """

    data: str | None
    ids: str
    weights: str | None


def judged_on(cell: ReadCell) -> JudgedOn | None:
    """What a cell was judged on; None unless it is done."""
    if cell.record is None or cell.samples is None:
        return None
    ids = hashlib.sha256()
    for name in (column.SAMPLE, column.LABEL):
        ids.update(numbers(cell.samples, name).tobytes())
    weights = cell.record.provenance.get("weights_sha256")
    return JudgedOn(cell.record.dataset.sha256, ids.hexdigest(), None if weights is None else str(weights))


def digest(cell: ReadCell, *without: str) -> str:
    """Short hash of a cell's content but some of its parts, its id and its labels."""
    return _short_hash(cell.document, {"id", "labels", *without})


def lasting_digest(cell: ReadCell, *without: str) -> str:
    """The same of what a cell does, whatever code and files were on the day it was planned; `judge` is left out with them."""
    return _short_hash(lasting(cell.document), set(without))


def _short_hash(document: dict[str, Any], left_out: set[str]) -> str:
    content = {key: value for key, value in document.items() if key not in left_out}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class _FolderRow:
    """The cells of one row in one folder: same defended model with the same code, threat, protocol and judge.

    Attributes:
        root: the folder.
        exact: hash of what the cells share.
        cells: in the order of the plan.
    """

    root: Path
    exact: str
    cells: list[ReadCell]

    @cached_property
    def judged_on(self) -> frozenset[JudgedOn]:
        """What its done cells were judged on: nothing as long as none is done, several things where data or weights were changed."""
        return frozenset(found for cell in self.cells if (found := judged_on(cell)))

    @property
    def done(self) -> ReadCell:
        """The first of its done cells."""
        return next(cell for cell in self.cells if cell.status == "done")


def rows_of(cells: Iterable[ReadCell]) -> tuple[list[list[ReadCell]], list[str]]:
    """The cells of each row, each cell once, and what was decided on the way, one line each.

    Cells of two folders make one row only if defended model, threat, protocol and judge are the same and both folders judged the same
    samples with the same weights: an attack on other weights says nothing of these. Where code or files changed between the two, the
    same predictions without an attack must show that the defended model did not change with them.
    """
    alike: dict[tuple[str, str], dict[tuple[Path, str], _FolderRow]] = defaultdict(dict)
    for cell in cells:
        exact = digest(cell, "attack")
        same_work = alike[lasting_digest(cell, "attack"), str(cell.document.get("judge"))]
        same_work.setdefault((cell.root, exact), _FolderRow(cell.root, exact, [])).cells.append(cell)
    rows: list[list[ReadCell]] = []
    notes: list[str] = []
    for parts in alike.values():
        for joined in _joined(list(parts.values()), notes):
            for part in joined[1:]:
                notes += changes(joined[0].cells[0], part.cells[0], _MODEL)
            rows.append(one_of_each([cell for part in joined for cell in part.cells], notes))
    return rows, list(dict.fromkeys(notes))


def _joined(parts: Sequence[_FolderRow], notes: list[str]) -> list[list[_FolderRow]]:
    """The rows of single folders that make one row together; those with nothing done join the first of their code."""
    if len(parts) == 1:
        return [list(parts)]
    rows: list[list[_FolderRow]] = []
    for part in sorted(parts, key=lambda part: not part.judged_on):
        open_to = [row for row in rows if all(known.root != part.root for known in row)]
        row = next((row for row in open_to if any(_is_one_row(known, part) for known in row)), None)
        if row is None:
            notes += (_why_apart(row[0], part) for row in open_to if _is_same_work(row[0], part))
            rows.append([part])
        else:
            row.append(part)
    place = {id(part): place for place, part in enumerate(parts)}
    return [sorted(row, key=lambda part: place[id(part)]) for row in rows]


def _is_one_row(known: _FolderRow, new: _FolderRow) -> bool:
    if known.exact == new.exact:
        return not new.judged_on or known.judged_on == new.judged_on
    return _is_same_work(known, new) and _same_without_attack(known.done, new.done)


def _is_same_work(known: _FolderRow, new: _FolderRow) -> bool:
    """Whether both were judged on one thing, the same, and their records say what it is."""
    said = all(one.data is not None and one.weights is not None for one in new.judged_on)
    return len(new.judged_on) == 1 and said and known.judged_on == new.judged_on


def _same_without_attack(one: ReadCell, other: ReadCell) -> bool:
    assert one.samples is not None
    assert other.samples is not None
    return all(one.samples[name].equals(other.samples[name]) for name in (column.CLEAN, column.CLEAN_PREDICTIONS))


def _why_apart(known: _FolderRow, new: _FolderRow) -> str:
    here, there = known.done, new.done
    model = f"{there.label('purifier')} on {there.label('backbone')}"
    apart = f"{new.root}: {model} stands apart from that of {known.root}: other predictions without an attack."
    return " ".join([apart, *changes(here, there, _MODEL)])
