"""Robust against standard accuracy as one parameter of a purifier changes."""

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from rbench.reports.figures.rows import LOOK, shown_rows
from rbench.reports.figures.style import flush, grid, legend, legend_height, look_of, remarked, shown
from rbench.reports.groups import Row
from rbench.reports.plain import csv_text
from rbench.results.runs import ReadCell
from rbench.results.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWS = "Robust accuracy with its 95 % interval against standard accuracy; a line joins the values of one parameter of a purifier."
LACKS = "no purifier was attacked with several values of one parameter"
MOST_LINES = 8
COLUMNS = ["dataset", "panel", "line", "parameter", "value", "row", "standard", "robust", "low", "high", *LOOK]


def frame(table: Table) -> pd.DataFrame:
    """A line for each value of each parameter that alone differs between rows judged alike, in the order of the values."""
    alike: dict[tuple[str, ...], list[tuple[Any, dict[str, Any]]]] = defaultdict(list)
    for one in shown_rows(table):
        row, cells = one.row, one.cells
        if row["robust_accuracy"] is None:
            continue
        purifier = cells[0].part("purifier")
        for parameter, value in _params(cells).items():
            fixed = {key: other for key, other in purifier.items() if key not in ("version", "label")}
            fixed["params"] = {key: other for key, other in _params(cells).items() if key != parameter}
            key = (one.panel, str(row["backbone"]), parameter, json.dumps(fixed, sort_keys=True))
            alike[key].append((value, {**one.place, **_accuracies(row), **one.look}))
    rows = []
    for (panel, backbone, parameter, others), points in alike.items():
        if len({json.dumps(value) for value, _ in points}) < 2:
            continue
        line = csv_text(f"{json.loads(others).get('name')} on {backbone}: {parameter}")
        points.sort(key=lambda point: _order(point[0]))
        # A line has one look, that of its first point: every value is a row of its own elsewhere.
        first = points[0][1]
        about = {"panel": panel, "line": line, "parameter": csv_text(parameter), **{part: first[part] for part in LOOK}}
        rows += [{**found, **about, "value": csv_text(_text(value))} for value, found in points]
    return pd.DataFrame(rows, columns=COLUMNS)


def _params(cells: tuple[ReadCell, ...]) -> dict[str, Any]:
    params = cells[0].part("purifier").get("params")
    return params if isinstance(params, dict) else {}


def _accuracies(row: Row) -> dict[str, Any]:
    columns = {"standard": "standard_accuracy", "robust": "robust_accuracy", "low": "robust_low", "high": "robust_high"}
    return {short: row[column] for short, column in columns.items()}


def _order(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, int | float)
    return not number, float(value) if number else 0.0, _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def draw(data: pd.DataFrame) -> "Figure":
    """A panel for each ranking."""
    panels = list(dict.fromkeys(data["panel"]))
    figure, axes = grid(
        panels, [2.8 for _ in panels], beside=1.4, more=legend_height(list(data["line"])) if len(panels) > 1 else 0.1
    )
    left = [_panel(axis, data[data["panel"] == panel]) for axis, panel in zip(axes, panels, strict=True)]
    legend(figure)
    remarked(figure, f"Not drawn: {sum(left)} lines; see the CSV file." if any(left) else "")
    return flush(figure)


def _panel(axis: "Axes", rows: pd.DataFrame) -> int:
    """Draws the first lines; how many are left out."""
    lines = list(rows.groupby("line", sort=False))
    for name, line in lines[:MOST_LINES]:
        standard, robust, low, high = (100 * line[column] for column in ("standard", "robust", "low", "high"))
        ends = [robust - low, high - robust]
        axis.errorbar(
            standard, robust, yerr=ends, elinewidth=0.8, linewidth=1.0, label=shown(str(name)), **look_of(line.iloc[0])
        )
        for x, y, value in zip(standard, robust, line["value"], strict=True):
            axis.annotate(shown(str(value), 12), (x, y), xytext=(4, 3), textcoords="offset points", fontsize=6.5)
    axis.set_xlabel("standard accuracy (%)")
    axis.set_ylabel("robust accuracy (%)")
    axis.margins(x=0.12, y=0.12)
    return max(0, len(lines) - MOST_LINES)
