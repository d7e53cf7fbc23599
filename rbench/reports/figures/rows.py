"""Panels and rows of the figures: which rows share a panel, and their names in it."""

from collections import Counter
from typing import Any

from rbench.reports.groups import Row, groups, heading
from rbench.reports.plain import csv_text
from rbench.results.runs import ReadCell
from rbench.results.table import Table

MOST_PANELS, MOST_ROWS = 12, 16
"""Most panels, and most rows of a panel, that a figure shows; the CSV file has all."""


def named(table: Table) -> list[tuple[str, str, Row, tuple[ReadCell, ...]]]:
    """For each row its panel (what was judged alike), its name in the panel, its columns, and its cells."""
    cells = iter(table.cells)
    entries = []
    for rows in groups(table):
        shared = Counter(row["purifier"] for row in rows)
        for row in rows:
            several = shared[row["purifier"]] > 1
            name = f"{row['purifier']} ({row['backbone']})" if several else row["purifier"]
            entries.append((csv_text(heading(rows)), csv_text(name), row, next(cells)))
    return entries


def folded(frame: Any, panel: str = "panel", row: str = "row") -> tuple[list[str], str]:
    """The panels that are drawn, and a remark on what is left out; empty if nothing is."""
    panels = list(dict.fromkeys(frame[panel]))
    kept = panels[:MOST_PANELS]
    left = [f"{len(panels) - len(kept)} of {len(panels)} panels"] if len(kept) < len(panels) else []
    many = [one for one in kept if frame.loc[frame[panel] == one, row].nunique() > MOST_ROWS]
    left += [f"rows beyond {MOST_ROWS} in {len(many)} panels"] if many else []
    return kept, f"Not drawn: {', '.join(left)}; see the CSV file." if left else ""
