"""Panels and rows of the figures: which rows share a panel, their names in it, and how each is drawn in all of them."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from rbench.reports.figures.looks import Look, fill, looks
from rbench.reports.groups import Row, groups
from rbench.reports.plain import csv_text, named
from rbench.results.runs import ReadCell
from rbench.results.table import Table
from rbench.suite.cell import JUDGE_VERSION

MOST_ROWS = 16
"""Most rows of a panel that a figure shows; the CSV file has all."""
LOOK = ["colour", "marker", "fill"]


@dataclass(frozen=True)
class Shown:
    """A row of the table in the figures.

    Attributes:
        dataset: its data set, by which figures are told apart where one would have too many panels.
        panel: what was judged alike: the title of its ranking, which no other ranking has.
        name: of the row in its panel.
        row: its columns.
        cells: its cells.
        look: colour, marker and fill, the same in every panel of every figure of the table.
    """

    dataset: str
    panel: str
    name: str
    row: Row
    cells: tuple[ReadCell, ...]
    look: Look

    @property
    def place(self) -> dict[str, str]:
        """The columns that every frame begins with."""
        return {"dataset": self.dataset, "panel": self.panel, "row": self.name}


def shown_rows(table: Table) -> list[Shown]:
    """The rows of a table in their order, ranking by ranking."""
    cells, titles, found = iter(table.cells), Counter[str](), []
    for rows in groups(table):
        shared = Counter(row["purifier"] for row in rows)
        title = titled(rows)
        titles[title] += 1
        panel = title if titles[title] == 1 else f"{title}, ranking {titles[title]}"
        for row in rows:
            several = shared[row["purifier"]] > 1
            name = f"{row['purifier']} ({row['backbone']})" if several else row["purifier"]
            found.append((csv_text(named(rows[0]["dataset"])), csv_text(panel), csv_text(name), row, next(cells)))
    parts = [cells[0].part("purifier") if cells else {} for *_, cells in found]
    labels = [_label(cells, row) for *_, row, cells in found]
    undefended = [label for label, part in zip(labels, parts, strict=True) if part.get("name") == "identity"]
    look, names = looks(labels, undefended), {label: [csv_text(label)] for label in labels}
    entries = []
    for label, (dataset, panel, name, row, own) in zip(labels, found, strict=True):
        if name not in names[label]:
            names[label].append(name)
        whole = {**look[label], "fill": fill(names[label].index(name))}
        entries.append(Shown(dataset, panel, name, row, own, whole))
    return entries


def _label(cells: tuple[ReadCell, ...], row: Row) -> str:
    """What the suite calls the purifier, without the mark that tells rows of several folders apart."""
    return cells[0].label("purifier") if cells else str(row["purifier"])


def titled(rows: list[Row]) -> str:
    """Data set, radius and number of samples of a ranking first; then the backbone if there is one, and the rules if not today's."""
    first = rows[0]
    n = "?" if first["n"] is None else f"{first['n']:,}"
    backbones = {row["backbone"] for row in rows}
    one = [named(first["backbone"])] if len(backbones) == 1 else []
    rules = [] if first["judge"] == str(JUDGE_VERSION) else [f"judged by version {named(first['judge'])} of the rules"]
    radius = named(f"{first['norm']} {first['eps_text']}")
    return ", ".join([named(first["dataset"]), radius, f"{n} samples", *one, *rules])


def folded(data: Any) -> str:
    """A remark on the rows that are left out of a figure; empty if none is."""
    panels = data.groupby("panel")["row"].nunique()
    many = int((panels > MOST_ROWS).sum())
    return f"Not drawn: rows beyond {MOST_ROWS} in {many} panel{'s' * (many > 1)}; see the CSV file." if many else ""
