"""The same cell in several run folders: what makes two cells the same, and which of their results is used."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rbench.results import sample_columns as column
from rbench.results.runs import CellStatus, ReadCell
from rbench.suite.cell import lasting

_ORDER: dict[CellStatus, int] = {"done": 0, "failed": 1, "cancelled": 2, "unreadable": 3, "missing": 4}
"""What is shown of a cell that several folders have, best first."""


def work_of(document: Mapping[str, Any]) -> str:
    """What a cell does, whatever code and files were on the day it was planned: equal for cells of the same work.

    Without the attack's batch size, which changes nothing but the speed of our own attacks and was once part of their cells; see
    `same_batch_size`.

    Args:
        document: the content of a cell.
    """
    kept = lasting(document)
    attack = {**kept["attack"], "params": {**_params(kept), "batch_size": None}}
    return json.dumps({**kept, "attack": attack}, sort_keys=True)


def same_batch_size(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the attacks of two cells have one batch size, or one of them has none, since it does not count any more."""
    sizes = [_params(cell).get("batch_size") for cell in (one, other)]
    return None in sizes or sizes[0] == sizes[1]


def changes(here: ReadCell, there: ReadCell, kinds: Sequence[str]) -> list[str]:
    """Which components are not what they were on the day of the other cell, one line each.

    Args:
        here: a cell.
        there: one of the same work in another folder.
        kinds: of the components that are compared.
    """
    compared = [(kind, here.part(kind), there.part(kind)) for kind in kinds]
    compared += [("stand-in", _stand_in(one), _stand_in(other)) for _, one, other in compared]
    lines = []
    for what, one, other in compared:
        words = [word for key, word in (("version", "code"), ("files", "files")) if one.get(key) != other.get(key)]
        if words:
            differ = f"other {' and '.join(words)} in {there.root} than in {here.root}"
            lines.append(f"{what} {str(one.get('name'))!r}: {differ}.")
    return lines


def _stand_in(part: Mapping[str, Any]) -> dict[str, Any]:
    stand_in = part.get("stand_in")
    return stand_in if isinstance(stand_in, dict) else {}


def one_of_each(cells: Iterable[ReadCell], notes: list[str]) -> list[ReadCell]:
    """Each cell once, in the order of their first appearance.

    Cells of one folder are never the same: it may hold an attack twice, with two batch sizes or from two files.

    Args:
        cells: of one row, folder by folder.
        notes: a line is added for what a reader should know of every choice.
    """
    kept: list[list[ReadCell]] = []  # each cell, with those of other folders that are the same
    alike: dict[str, list[list[ReadCell]]] = defaultdict(list)
    for cell in cells:
        known = alike[work_of(cell.document)]
        fitting = [same for same in known if _is_one_cell(same, cell)]
        if fitting:
            # Of two batch sizes in one folder, the one that the other folder has too.
            next((same for same in fitting if any(one.id == cell.id for one in same)), fitting[0]).append(cell)
        else:
            kept.append([cell])
            known.append(kept[-1])
    return [_used(same, notes) for same in kept]


def _is_one_cell(same: Iterable[ReadCell], new: ReadCell) -> bool:
    return all(known.root != new.root and same_batch_size(known.document, new.document) for known in same)


def _params(document: Mapping[str, Any]) -> Mapping[str, Any]:
    params = document["attack"].get("params")
    return params if isinstance(params, Mapping) else {}


def _used(same: Sequence[ReadCell], notes: list[str]) -> ReadCell:
    used = same[0]
    for cell in same[1:]:
        notes += changes(same[0], cell, ["attack"])
        used = _better(used, cell, notes)
    return used


def _better(known: ReadCell, new: ReadCell, notes: list[str]) -> ReadCell:
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
    return all(
        first.samples[name].equals(second.samples[name])
        for name in (column.SAMPLE, column.CLEAN, column.SELECT, column.ROBUST)
    )


def _title(cell: ReadCell) -> str:
    labels = "/".join(cell.label(part) for part in ("backbone", "purifier", "attack"))
    return f"cell {cell.id} ({labels})"
