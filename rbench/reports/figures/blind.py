"""Blind against adaptive: accuracy that a purifier seems to gain under blind attacks, and what is left under those that use it."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from rbench.reports.figures.rows import LOOK, MOST_ROWS, folded, shown_rows
from rbench.reports.figures.style import flush, grid, named, remarked
from rbench.results.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWS = "Robust accuracy under attackers who ignore the purifier (blind) and under all attackers (worst case, with its 95 % interval)."
LACKS = "no row has both a blind and another attack"
COLUMNS = ["dataset", "panel", "row", "standard", "blind", "robust", "low", "high", *LOOK]


def frame(table: Table) -> pd.DataFrame:
    """A line for each row with a blind attack: standard, blind, robust, low, high; fractions."""
    rows = [
        {
            **one.place,
            "standard": one.row["standard_accuracy"],
            "blind": one.row["blind_robust_accuracy"],
            "robust": one.row["robust_accuracy"],
            "low": one.row["robust_low"],
            "high": one.row["robust_high"],
            **one.look,
        }
        for one in shown_rows(table)
        if one.row["blind_robust_accuracy"] is not None and one.row["robust_accuracy"] is not None
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def draw(data: pd.DataFrame) -> "Figure":
    """A dumbbell for each row."""
    panels = list(dict.fromkeys(data["panel"]))
    sizes = [min(MOST_ROWS, int((data["panel"] == panel).sum())) for panel in panels]
    figure, axes = grid(panels, [0.26 * size + 0.85 for size in sizes], more=0.4)
    for axis, panel in zip(axes, panels, strict=True):
        _panel(axis, data[data["panel"] == panel].head(MOST_ROWS))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    remarked(figure, folded(data))
    return flush(figure)


def _panel(axis: "Axes", rows: pd.DataFrame) -> None:
    places, colours = range(len(rows)), list(rows["colour"])
    robust, blind = 100 * rows["robust"], 100 * rows["blind"]
    axis.hlines(places, robust, blind, color=colours, alpha=0.6, linewidth=1.3, zorder=1)
    axis.hlines(places, 100 * rows["low"], 100 * rows["high"], color=colours, alpha=0.3, linewidth=5, zorder=2)
    axis.scatter(100 * rows["standard"], places, marker="|", s=80, color="0.25", zorder=2)
    axis.scatter(blind, places, marker="o", s=48, facecolor="white", edgecolor=colours, linewidth=1.4, zorder=3)
    axis.scatter(robust, places, marker="s", s=15, color=colours, zorder=4)
    grey: dict[str, Any] = {
        "color": "0.25",
        "linestyle": "none",
    }  # the legend says what the shapes are; the colours are those of the purifiers
    axis.plot([], [], marker="s", markersize=4.2, label="worst case of all attacks", **grey)
    axis.plot([], [], marker="o", markersize=6.5, markerfacecolor="white", label="blind attacks only", **grey)
    axis.plot([], [], marker="|", markersize=9, label="no attack", **grey)
    axis.set_yticks(places, [named(name) for name in rows["row"]])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlim(-3, 103)
    axis.set_xlabel("accuracy (%)")
    axis.grid(visible=False, axis="y")
