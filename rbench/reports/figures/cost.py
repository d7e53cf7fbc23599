"""Robust accuracy against the cost of the attacks."""

from typing import TYPE_CHECKING

import pandas as pd

from rbench.reports.figures.rows import LOOK, MOST_ROWS, folded, shown_rows
from rbench.reports.figures.style import flush, grid, legend, legend_height, logarithmic, look_of, remarked, shown
from rbench.results.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWS = (
    "Robust accuracy against seconds of attack per image, all attacks of a row together. What falls at the first step is cheap to break; "
    "seconds of different machines are not comparable."
)
LACKS = "no row has a robust accuracy and a cost"
COLUMNS = ["dataset", "panel", "row", "seconds", "forwards", "backwards", "robust", "low", "high", *LOOK]


def frame(table: Table) -> pd.DataFrame:
    """A line for each row: seconds and passes per image of all its attacks, robust, low, high."""
    rows = []
    for one in shown_rows(table):
        row, cells = one.row, one.cells
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
        rows.append({**one.place, **each, **ends, **one.look})
    return pd.DataFrame(rows, columns=COLUMNS)


def draw(data: pd.DataFrame) -> "Figure":
    """A panel for each ranking."""
    panels = list(dict.fromkeys(data["panel"]))
    figure, axes = grid(
        panels, [2.5 for _ in panels], beside=1.4, more=legend_height(list(data["row"])) if len(panels) > 1 else 0.4
    )
    for axis, panel in zip(axes, panels, strict=True):
        _panel(axis, data[data["panel"] == panel].head(MOST_ROWS))
    legend(figure)
    remarked(figure, folded(data))
    return flush(figure)


def _panel(axis: "Axes", rows: pd.DataFrame) -> None:
    for _, row in rows.iterrows():
        robust, ends = (
            100 * row["robust"],
            [[100 * (row["robust"] - row["low"])], [100 * (row["high"] - row["robust"])]],
        )
        axis.errorbar(
            row["seconds"], robust, yerr=ends, linestyle="none", elinewidth=0.8, label=shown(row["row"]), **look_of(row)
        )
    logarithmic(axis, rows["seconds"])
    axis.set_xlabel("seconds of attack per image")
    axis.set_ylabel("robust accuracy (%)")
    axis.set_ylim(-4, 104)
