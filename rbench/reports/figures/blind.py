"""Blind against adaptive: accuracy that a purifier seems to gain under blind attacks, and what is left under those that use it."""

from typing import TYPE_CHECKING

import pandas as pd

from rbench.reports.figures.rows import MOST_ROWS, folded, named
from rbench.reports.figures.style import WIDTH, blank, flush, shown
from rbench.results.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWS = "Robust accuracy under attackers who ignore the purifier (blind) and under all attackers (worst case, with its 95 % interval)."
LACKS = "no row has both a blind and another attack"


def frame(table: Table) -> pd.DataFrame:
    """A line for each row with a blind attack: panel, row, standard, blind, robust, low, high; fractions."""
    rows = [
        {
            "panel": panel,
            "row": name,
            "standard": row["standard_accuracy"],
            "blind": row["blind_robust_accuracy"],
            "robust": row["robust_accuracy"],
            "low": row["robust_low"],
            "high": row["robust_high"],
        }
        for panel, name, row, _ in named(table)
        if row["blind_robust_accuracy"] is not None and row["robust_accuracy"] is not None
    ]
    return pd.DataFrame(rows, columns=["panel", "row", "standard", "blind", "robust", "low", "high"])


def draw(data: pd.DataFrame) -> "Figure":
    """A dumbbell for each row."""
    panels, remark = folded(data)
    sizes = [min(MOST_ROWS, int((data["panel"] == panel).sum())) for panel in panels]
    figure = blank(WIDTH * 0.75, 0.75 + sum(0.24 * size + 0.5 for size in sizes))
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=[size + 0.6 for size in sizes])
    for axis, panel in zip(axes[:, 0], panels, strict=True):
        _panel(axis, data[data["panel"] == panel].head(MOST_ROWS))
        axis.set_title(shown(panel, 62))
    axes[-1, 0].set_xlabel("accuracy (%)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    if remark:
        figure.supxlabel(remark, fontsize=7)
    return flush(figure)


def _panel(axis: "Axes", rows: pd.DataFrame) -> None:
    places = range(len(rows))
    robust, blind = 100 * rows["robust"], 100 * rows["blind"]
    axis.hlines(places, robust, blind, color="0.6", linewidth=1.2, zorder=1)
    axis.hlines(places, 100 * rows["low"], 100 * rows["high"], color="C0", alpha=0.35, linewidth=5, zorder=2)
    axis.scatter(robust, places, marker="s", s=24, color="C0", zorder=3, label="worst case of all attacks")
    axis.scatter(
        blind,
        places,
        marker="o",
        s=26,
        facecolor="white",
        edgecolor="C1",
        linewidth=1.4,
        zorder=3,
        label="blind attacks only",
    )
    axis.scatter(100 * rows["standard"], places, marker="|", s=70, color="0.25", zorder=2, label="no attack")
    axis.set_yticks(places, [shown(name) for name in rows["row"]])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlim(-2, 102)
    axis.grid(visible=False, axis="y")
