"""The leaderboard as a frame, with what each column means: all that reporters read."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pandas as pd

from rbench.results.columns import COLUMNS, Column
from rbench.results.flags import FLAGS
from rbench.results.frames import Broken, ReadCell, Runs
from rbench.results.row import Row, make_row
from rbench.results.row_flags import RowFlag, inseparable
from rbench.results.worst_case import Values


@dataclass(frozen=True)
class Table:
    """The leaderboard.

    Attributes:
        frame: a row for each (data, backbone, purifier, threat), columns as in `columns`; `flags` are tuples.
        doubts: the flags of each row of `frame` with their values, in the same order.
        cells: what each row was made of, in the same order: the attacks in the order of the suite.
        outcomes: the value [n] of each sample of each row in its worst case, in the same order; None where a row has no number.
        broken: files that were not used.
        notes: what else a reader should know, one line each.
        columns: what the columns mean.
    """

    frame: pd.DataFrame
    doubts: tuple[tuple[RowFlag, ...], ...] = ()
    cells: tuple[tuple[ReadCell, ...], ...] = ()
    outcomes: tuple[Values | None, ...] = ()
    broken: tuple[Broken, ...] = ()
    notes: tuple[str, ...] = ()
    columns: dict[str, Column] = field(default_factory=lambda: dict(COLUMNS))

    def rows(self) -> list[dict[str, Any]]:
        """The rows as plain Python values, None where there is none."""
        records = self.frame.astype(object).to_dict("records")
        return [{str(key): _plain(value) for key, value in record.items()} for record in records]


def table(runs: Runs) -> Table:
    """Make the leaderboard: a row for each defended model under a threat; rows judged alike stand together."""
    by_row: dict[str, list[ReadCell]] = defaultdict(list)
    for cell in runs.cells:
        by_row[_digest(cell, "attack")].append(cell)
    alike: dict[str, list[Row]] = defaultdict(list)
    for cells in by_row.values():
        alike[_digest(cells[0], "attack", "backbone", "purifier")].append(make_row(cells))
    groups = [group for mark, rows in alike.items() for group in _by_data(mark, rows)]
    ranked = [row for group in sorted(groups, key=_group_order) for row in _rank(group)]
    for row in ranked:
        raised = {flag.name for flag in row.flags}
        row.fields["flags"] = tuple(name for name in FLAGS if name in raised)
    frame = pd.DataFrame([row.fields for row in ranked], columns=list(COLUMNS))
    return Table(
        frame=_typed(frame),
        doubts=tuple(tuple(row.flags) for row in ranked),
        cells=tuple(tuple(row.cells) for row in ranked),
        outcomes=tuple(row.outcome for row in ranked),
        broken=runs.broken,
        notes=runs.notes,
    )


def _digest(cell: ReadCell, *without: str) -> str:
    left_out = {"id", "labels", *without}
    content = {key: value for key, value in cell.document.items() if key not in left_out}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _by_data(mark: str, rows: Sequence[Row]) -> list[list[Row]]:
    """Split rows whose cells look alike but were judged on different images: they share no ranking."""
    data = list(dict.fromkeys(row.data for row in rows if row.data)) or [""]
    groups = [[row for row in rows if (row.data or data[0]) == one] for one in data]
    for index, group in enumerate(groups):
        for row in group:
            row.fields["group"] = mark if index == 0 else f"{mark}-{index + 1}"
    return groups


def _group_order(group: Sequence[Row]) -> tuple[str, str, float, int, str]:
    fields = group[0].fields
    return fields["dataset"], fields["norm"], fields["eps"] or 0.0, -(fields["n"] or 0), fields["group"]


def _rank(group: Sequence[Row]) -> list[Row]:
    """Order a group, blocked rows last, and flag neighbours that its samples cannot tell apart."""

    def order(row: Row) -> tuple[float, float, str, str]:
        robust, standard = row.fields.get("robust_accuracy"), row.fields.get("standard_accuracy")
        labels = row.fields["purifier"], row.fields["backbone"]
        return (-1.0 if robust is None else robust) * -1, -(standard or 0.0), *labels

    rows = sorted(group, key=order)
    judged = [row for row in rows if row.outcome is not None]
    for place, row in enumerate(judged):
        above = judged[place - 1] if place else None
        tied = above and above.fields["robust_accuracy"] == row.fields["robust_accuracy"]
        row.fields["rank"] = above.fields["rank"] if above and tied else place + 1
    for first, second in pairwise(judged):
        assert first.outcome is not None
        assert second.outcome is not None
        p_value = inseparable(first.outcome, second.outcome)
        if p_value is not None:
            for row, other in ((first, second), (second, first)):
                detail = f"cannot be told from {other.fields['purifier']} on {other.fields['backbone']}"
                row.flags.append(RowFlag("few-samples", p_value, f"{detail} (p = {p_value:.2f})"))
    return rows


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    kinds = {"count": "Int64", "yes/no": "boolean", "text": "object"}
    return frame.astype({name: kinds.get(column.unit, "float64") for name, column in COLUMNS.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return value
    if value is None or pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
