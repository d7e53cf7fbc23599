"""Accuracy under each attack, and in the worst case over them."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rbench.reports.figures.rows import MOST_ROWS, folded, named
from rbench.reports.figures.style import WIDTH, blank, flush, shown
from rbench.reports.plain import csv_text
from rbench.results.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWS = "Robust accuracy (%) under each attack alone, without one, and in the pointwise worst case over all of them."
LACKS = "no cell is done"
WORST, NONE = "worst case", "no attack"
MOST_ATTACKS = 12


def frame(table: Table) -> pd.DataFrame:
    """A line for each row and attack, `no attack` and `worst case` among them: panel, row, attack, gradient, robust, low, high."""
    rows = []
    for panel, name, row, cells in named(table):
        place = {"panel": panel, "row": name}
        if row["standard_accuracy"] is not None:
            rows.append({**place, "attack": NONE, "gradient": "", "robust": row["standard_accuracy"]})
        for cell in cells:
            if cell.record and cell.record.summary:
                figure, path = cell.record.summary.robust_accuracy, cell.record.attack.gradient or ""
                label = csv_text(cell.label("attack"))
                rows.append(
                    {
                        **place,
                        "attack": label,
                        "gradient": path,
                        "robust": figure.value,
                        "low": figure.low,
                        "high": figure.high,
                    }
                )
        if row["robust_accuracy"] is not None:
            ends = {"low": row["robust_low"], "high": row["robust_high"]}
            rows.append({**place, "attack": WORST, "gradient": "", "robust": row["robust_accuracy"], **ends})
    columns = ["panel", "row", "attack", "gradient", "robust", "low", "high"]
    return pd.DataFrame(rows, columns=columns).astype({"low": "float64", "high": "float64"})


def draw(data: pd.DataFrame) -> "Figure":
    """A grid of accuracies for each panel, darker where they are lower."""
    panels, remark = folded(data)
    sizes = [min(MOST_ROWS, data.loc[data["panel"] == panel, "row"].nunique()) for panel in panels]
    figure = blank(WIDTH, 0.4 + sum(0.23 * size + 1.15 for size in sizes))
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[size + 2.5 for size in sizes])[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        _panel(axis, data[data["panel"] == panel])
        axis.set_title(shown(panel, 76), pad=4)
    if remark:
        figure.supxlabel(remark, fontsize=7)
    return flush(figure)


def _panel(axis: "Axes", data: pd.DataFrame) -> None:
    rows = list(dict.fromkeys(data["row"]))[:MOST_ROWS]
    between = [name for name in dict.fromkeys(data["attack"]) if name not in (NONE, WORST)]
    attacks = [NONE, *between[:MOST_ATTACKS], WORST]
    grid = np.full((len(rows), len(attacks)), np.nan)
    for row, attack, robust in zip(data["row"], data["attack"], data["robust"], strict=True):
        if row in rows and attack in attacks:
            grid[rows.index(row), attacks.index(attack)] = 100 * robust
    axis.imshow(grid, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for (place, column), value in np.ndenumerate(grid):
        if not np.isnan(value):
            dark = value < 55
            weight = "bold" if attacks[column] == WORST else "normal"
            axis.text(
                column,
                place,
                f"{value:.1f}",
                ha="center",
                va="center",
                fontsize=7,
                color="w" if dark else "k",
                fontweight=weight,
            )
    axis.set_xticks(
        range(len(attacks)), [shown(name, 18) for name in attacks], rotation=30, ha="right", rotation_mode="anchor"
    )
    axis.set_yticks(range(len(rows)), [shown(name) for name in rows])
    axis.axvline(len(attacks) - 1.5, color="w", linewidth=2.5)
    axis.axvline(0.5, color="w", linewidth=2.5)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
