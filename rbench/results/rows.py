"""Cells of several run folders put together: which of them make one row, and which of two results of a cell is used."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rbench.results.runs import CellStatus, ReadCell

_ORDER: dict[CellStatus, int] = {"done": 0, "failed": 1, "cancelled": 2, "unreadable": 3, "missing": 4}
"""What is shown of a cell that several folders have, best first."""


class Judged(NamedTuple):
    """What a done cell was judged on.

    Attributes:
        data: hash of the images and labels; None in records that lack it.
        ids: hash of the samples' ids and labels, in order.
        weights: hash of the weights of purifier and backbone; None in records that lack it.
    """

    data: str | None
    ids: str
    weights: str | None


def judged_on(cell: ReadCell) -> Judged | None:
    """What a cell was judged on; None unless it is done."""
    if cell.record is None or cell.samples is None:
        return None
    ids = hashlib.sha256()
    for name in ("sample", "label"):
        ids.update(cell.samples[name].to_numpy().tobytes())
    weights = cell.record.provenance.get("weights_sha256")
    return Judged(cell.record.dataset.sha256, ids.hexdigest(), None if weights is None else str(weights))


def digest(cell: ReadCell, *without: str) -> str:
    """Short hash of a cell's content but some of its parts, its id and its labels."""
    left_out = {"id", "labels", *without}
    content = {key: value for key, value in cell.document.items() if key not in left_out}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def rows_of(cells: Iterable[ReadCell]) -> tuple[list[list[ReadCell]], list[str]]:
    """The cells of each row, each cell once, and what was decided on the way, one line each.

    Cells of two folders make one row only if defended model, threat, protocol and judge are the same and both folders judged the same
    samples with the same weights: an attack on other weights says nothing of these.
    """
    alike: dict[str, list[ReadCell]] = defaultdict(list)
    for cell in cells:
        alike[digest(cell, "attack")].append(cell)
    rows: list[list[ReadCell]] = []
    notes: list[str] = []
    for some in alike.values():
        for part in _by_what_they_judged(some):
            chosen: dict[str, ReadCell] = {}
            for cell in part:
                chosen[cell.id] = _used(chosen[cell.id], cell, notes) if cell.id in chosen else cell
            rows.append(list(chosen.values()))
    return rows, notes


def _by_what_they_judged(cells: Sequence[ReadCell]) -> list[list[ReadCell]]:
    """Split by folder, and put the folders together that judged the same; those with nothing done join the first."""
    roots = dict.fromkeys(cell.root for cell in cells)
    if len(roots) == 1:
        return [list(cells)]
    found = {root: frozenset(judged_on(cell) for cell in cells if cell.root == root) - {None} for root in roots}
    first = next((kinds for kinds in found.values() if kinds), frozenset())
    parts: dict[frozenset[Judged | None], list[ReadCell]] = defaultdict(list)
    for cell in cells:
        parts[found[cell.root] or first].append(cell)
    return list(parts.values())


def _used(known: ReadCell, new: ReadCell, notes: list[str]) -> ReadCell:
    if known.status != "done" or new.status != "done":
        used, other = (new, known) if _ORDER[new.status] < _ORDER[known.status] else (known, new)
        if other.status == "failed" and used.status == "done":
            notes.append(f"{other.root}: {_title(other)} failed there; the result of {used.root} is used.")
        return used
    used = new if new.verified and not known.verified else known
    if not _same_outcome(known, new):
        why = ", because it is verified" if used.verified and not (known.verified and new.verified) else ""
        notes.append(
            f"{new.root}: {_title(new)} has another outcome than in {known.root}; that of {used.root} is used{why}."
        )
    return used


def _same_outcome(first: ReadCell, second: ReadCell) -> bool:
    assert first.record is not None
    assert second.record is not None
    assert first.samples is not None
    assert second.samples is not None
    hashes = first.record.result_hash, second.record.result_hash
    if None not in hashes and hashes[0] != hashes[1]:
        return False
    return all(first.samples[name].equals(second.samples[name]) for name in ("sample", "clean", "select", "robust"))


def _title(cell: ReadCell) -> str:
    labels = "/".join(cell.label(part) for part in ("backbone", "purifier", "attack"))
    return f"cell {cell.id} ({labels})"
