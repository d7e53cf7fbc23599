"""Robust against standard accuracy as one parameter of a purifier changes."""

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from rbench.reports.figures.rows import MOST_PANELS, named
from rbench.reports.figures.style import WIDTH, colour, marker, shown, stacked
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
COLUMNS = ["panel", "line", "parameter", "value", "row", "standard", "robust", "low", "high"]


def frame(table: Table) -> pd.DataFrame:
    """A line for each value of each parameter that alone differs between rows judged alike, in the order of the values."""
    alike: dict[tuple[str, ...], list[tuple[Any, dict[str, Any]]]] = defaultdict(list)
    for panel, name, row, cells in named(table):
        if row["robust_accuracy"] is None:
            continue
        purifier = cells[0].part("purifier")
        for parameter, value in _params(cells).items():
            fixed = {key: other for key, other in purifier.items() if key not in ("version", "label")}
            fixed["params"] = {key: other for key, other in _params(cells).items() if key != parameter}
            key = (panel, str(row["backbone"]), parameter, json.dumps(fixed, sort_keys=True))
            alike[key].append((value, {"row": name, **_accuracies(row)}))
    rows = []
    for (panel, backbone, parameter, others), points in alike.items():
        if len({json.dumps(value) for value, _ in points}) < 2:
            continue
        line = csv_text(f"{json.loads(others).get('name')} on {backbone}: {parameter}")
        points.sort(key=lambda point: _order(point[0]))
        about = {"panel": panel, "line": line, "parameter": csv_text(parameter)}
        rows += [{**about, "value": csv_text(_text(value)), **found} for value, found in points]
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
    """A panel for each set of rows that were judged alike."""
    panels = list(dict.fromkeys(data["panel"]))[:MOST_PANELS]
    return stacked(data, panels, WIDTH * 0.85, _panel)


def _panel(axis: "Axes", rows: pd.DataFrame) -> None:
    lines = list(rows.groupby("line", sort=False))
    for place, (name, line) in enumerate(lines[:MOST_LINES]):
        standard, robust, low, high = (100 * line[column] for column in ("standard", "robust", "low", "high"))
        axis.errorbar(
            standard,
            robust,
            yerr=[robust - low, high - robust],
            color=colour(place),
            marker=marker(place),
            elinewidth=0.8,
            linewidth=1.0,
            label=shown(str(name)),
        )
        for x, y, value in zip(standard, robust, line["value"], strict=True):
            axis.annotate(shown(value, 12), (x, y), xytext=(4, 3), textcoords="offset points", fontsize=6.5)
    left = f"{len(lines) - MOST_LINES} more in the CSV file" if len(lines) > MOST_LINES else None
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title=left, title_fontsize=7)
    axis.set_xlabel("standard accuracy (%)")
    axis.set_ylabel("robust accuracy (%)")
    axis.margins(x=0.12, y=0.12)
