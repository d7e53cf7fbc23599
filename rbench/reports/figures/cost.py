"""Robust accuracy against the cost of the attacks."""

from typing import TYPE_CHECKING

import pandas as pd

from rbench.reports.figures.rows import MOST_PANELS, named
from rbench.reports.figures.style import WIDTH, blank, colour, marker, shown
from rbench.results.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWS = (
    "Robust accuracy against seconds of attack per image, all attacks of a row together. What falls at the first step is cheap to break; "
    "seconds of different machines are not comparable."
)
LACKS = "no row has a robust accuracy and a cost"
ACROSS = 2
MOST_POINTS = 16


def frame(table: Table) -> pd.DataFrame:
    """A line for each row: panel, row, seconds and passes per image of all its attacks, robust, low, high."""
    rows = []
    for panel, name, row, cells in named(table):
        if row["robust_accuracy"] is None or not row["cost_seconds"] or not row["n"]:
            continue
        backwards = sum(cell.record.cost.backwards for cell in cells if cell.record)
        forwards = sum(cell.record.cost.forwards for cell in cells if cell.record)
        ends = {"robust": row["robust_accuracy"], "low": row["robust_low"], "high": row["robust_high"]}
        each = {
            "seconds": row["cost_seconds"] / row["n"],
            "forwards": forwards / row["n"],
            "backwards": backwards / row["n"],
        }
        rows.append({"panel": panel, "row": name, **each, **ends})
    return pd.DataFrame(rows, columns=["panel", "row", "seconds", "forwards", "backwards", "robust", "low", "high"])


def draw(data: pd.DataFrame) -> "Figure":
    """A panel for each set of rows that were judged alike."""
    panels = list(dict.fromkeys(data["panel"]))[:MOST_PANELS]
    down = -(-len(panels) // ACROSS)
    figure = blank(WIDTH if len(panels) > 1 else WIDTH * 0.65, 0.3 + 2.6 * down)
    axes = figure.subplots(down, min(ACROSS, len(panels)), squeeze=False).flat
    for place, axis in enumerate(axes):
        if place >= len(panels):
            axis.remove()
            continue
        _panel(axis, data[data["panel"] == panels[place]].head(MOST_POINTS))
        axis.set_title(shown(panels[place], 46), fontsize=8)
    return figure


def _panel(axis: "Axes", rows: pd.DataFrame) -> None:
    from matplotlib.ticker import LogLocator

    columns = (rows[name] for name in ("row", "seconds", "robust", "low", "high"))
    for place, (name, seconds, share, low, high) in enumerate(zip(*columns, strict=True)):
        robust, ends = 100 * share, [[100 * (share - low)], [100 * (high - share)]]
        axis.errorbar(
            seconds, robust, yerr=ends, color=colour(place), marker=marker(place), elinewidth=0.8, label=shown(name)
        )
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.minorticks_off()
    axis.set_xlabel("seconds of attack per image")
    axis.set_ylabel("robust accuracy (%)")
    axis.set_ylim(-4, 104)
    axis.margins(x=0.15)
    axis.legend(fontsize=6.5, loc="best", handletextpad=0.3, labelspacing=0.25)
