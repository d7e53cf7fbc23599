"""Names that cannot be mixed up: rows of one ranking that have the same labels and are not the same."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from rbench.results.rankings import judged, part, roots
from rbench.results.row import Row
from rbench.results.rows import digest


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
            _mark(rows, "backbone" if differing == ["backbone"] else "purifier", group)
            notes.append(
                f"{purifier} on {backbone}: {len(rows)} rows, not the same defended model: other {', '.join(differing)}."
            )
    return notes


def _differing(rows: Sequence[Row]) -> list[str]:
    planned = [name for name in ("purifier", "backbone", "protocol") if len({str(part(row, name)) for row in rows}) > 1]
    weights = {found.weights for row in rows if (found := judged(row))}
    return planned or (["weights"] if len(weights) > 1 else ["cells"])


def _mark(rows: Sequence[Row], name: Literal["purifier", "backbone"], group: Sequence[Row]) -> None:
    others = {row.fields[name] for row in group}
    folders = ["+".join(root.resolve().name for root in roots([row])) for row in rows]
    labels = [f"{row.fields[name]} ({folder})" for row, folder in zip(rows, folders, strict=True)]
    if len(set(labels)) < len(rows) or others & set(labels):
        labels = [f"{row.fields[name]} ({_content(row)[:7]})" for row in rows]
    for row, label in zip(rows, labels, strict=True):
        row.fields[name] = label


def _content(row: Row) -> str:
    return hashlib.sha256(f"{digest(row.cells[0], 'attack')} {judged(row)}".encode()).hexdigest()
