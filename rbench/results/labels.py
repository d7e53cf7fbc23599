"""Labels that cannot be mixed up: rows of one ranking that would be called the same and are not the same are marked."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from rbench.results.rankings import part, roots, row_judged_on
from rbench.results.row import Row
from rbench.results.rows import digest
from rbench.suite.cell import lasting

_PARTS = ("purifier", "backbone", "protocol")


def tell_apart(group: Sequence[Row]) -> list[str]:
    """Give rows with the same labels a mark: the name of their folder where that is enough, else a short hash.

    Args:
        group: the rows of one ranking; their field `purifier` is changed, or `backbone` where only that differs.

    Returns:
        In what they differ, one line for each name.
    """
    named: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in group:
        named[row.fields["backbone"], row.fields["purifier"]].append(row)
    notes = []
    for (backbone, purifier), rows in named.items():
        if len(rows) > 1:
            differing = _differing(rows)
            _mark(rows, "backbone" if all("backbone" in what for what in differing) else "purifier", group)
            notes.append(
                f"{purifier} on {backbone}: {len(rows)} rows, not the same defended model: other {', '.join(differing)}."
            )
    return notes


def _differing(rows: Sequence[Row]) -> list[str]:
    """In what rows with the same labels differ: what was asked for, else the weights, and the code or files of the day."""
    asked = [name for name in _PARTS if _differ([lasting({name: part(row, name)}) for row in rows])]
    weights = ["weights"] if _differ([found.weights for row in rows if (found := row_judged_on(row))]) else []
    code = [f"code or files of the {name}" for name in _PARTS if _differ([part(row, name) for row in rows])]
    return asked or [*weights, *code] or ["cells"]


def _differ(values: Sequence[object]) -> bool:
    return any(value != values[0] for value in values)


def _mark(rows: Sequence[Row], name: Literal["purifier", "backbone"], group: Sequence[Row]) -> None:
    others = {row.fields[name] for row in group}
    folders = ["+".join(root.resolve().name for root in roots([row])) for row in rows]
    labels = [f"{row.fields[name]} ({folder})" for row, folder in zip(rows, folders, strict=True)]
    if len(set(labels)) < len(rows) or others & set(labels):
        labels = [f"{row.fields[name]} ({_content(row)[:7]})" for row in rows]
    for row, label in zip(rows, labels, strict=True):
        row.fields[name] = label


def _content(row: Row) -> str:
    return hashlib.sha256(f"{digest(row.cells[0], 'attack')} {row_judged_on(row)}".encode()).hexdigest()
