"""Accuracy under each attack, and in the worst case over them."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rbench.reports.figures.rows import MOST_ROWS, folded, shown_rows
from rbench.reports.figures.style import flush, grid, named, remarked, shown
from rbench.reports.plain import csv_text
from rbench.results.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWS = "Robust accuracy (%) under each attack alone, without one, and in the pointwise worst case over all of them."
LACKS = "no cell is done"
WORST, NONE = "worst case", "no attack"
MOST, MOST_ATTACKS = 4, 12
"""Panels of a figure, which are as wide as it is, and attacks of a panel."""


def frame(table: Table) -> pd.DataFrame:
    """A line for each row and attack, `no attack` and `worst case` among them: attack, gradient, robust, low, high."""
    rows = []
    for one in shown_rows(table):
        place, row, cells = one.place, one.row, one.cells
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
    columns = ["dataset", "panel", "row", "attack", "gradient", "robust", "low", "high"]
    return pd.DataFrame(rows, columns=columns).astype({"low": "float64", "high": "float64"})


def draw(data: pd.DataFrame) -> "Figure":
    """A grid of accuracies for each panel, darker where they are lower."""
    panels = list(dict.fromkeys(data["panel"]))
    sizes = [min(MOST_ROWS, data.loc[data["panel"] == panel, "row"].nunique()) for panel in panels]
    figure, axes = grid(panels, [0.22 * size + 0.85 for size in sizes], across=1, more=0.1)
    for axis, panel in zip(axes, panels, strict=True):
        _panel(axis, data[data["panel"] == panel])
    kinds = data[~data["attack"].isin([NONE, WORST])].groupby("panel")["attack"].nunique()
    many = f"Not drawn: attacks beyond {MOST_ATTACKS}; see the CSV file." if (kinds > MOST_ATTACKS).any() else ""
    remarked(figure, " ".join(filter(None, [folded(data), many])))
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
    axis.set_yticks(range(len(rows)), [named(name, 32) for name in rows])
    axis.axvline(len(attacks) - 1.5, color="w", linewidth=2.5)
    axis.axvline(0.5, color="w", linewidth=2.5)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
