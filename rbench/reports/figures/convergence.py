"""Have the attacks converged? Accuracy and loss against the budget."""

from typing import TYPE_CHECKING

import pandas as pd

from rbench.reports.figures.budgets import KEYS, budgets
from rbench.reports.figures.style import flush, grid, legend, legend_height, look_of, remarked, shown
from rbench.results.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWS = (
    "Robust accuracy against the steps of each attack; hollow marks: twice the restarts (square) and twice the EOT draws (diamond) at the "
    "cell's own steps. A line that still falls at its end has not converged."
)
LACKS = "no cell was attacked with other budgets (`protocol: {convergence: N}`)"
_DOUBLED = {"restarts": "s", "eot": "D"}
__all__ = ["KEYS", "LACKS", "SHOWS", "draw", "frame", "panels"]


def frame(table: Table) -> pd.DataFrame:
    """See `budgets`."""
    return budgets(table)


def draw(data: pd.DataFrame) -> "Figure":
    """A panel for each attack, a line for each row."""
    return panels(data, "robust", "robust accuracy (%)", 100.0)


def panels(data: pd.DataFrame, column: str, title: str, scale: float) -> "Figure":
    """A panel for each attack of each set of rows, a line for each row, against the steps.

    Args:
        data: as `budgets` gives it.
        column: what is drawn.
        title: of the vertical axis.
        scale: what the column is multiplied by.
    """
    keys = list(dict.fromkeys(zip(data["panel"], data["attack"], strict=True)))
    # A single number of steps makes no line.
    steps = data.groupby(["panel", "attack"])["steps"].nunique()
    drawn = [key for key in keys if steps[key] > 1] or keys
    figure, axes = grid(
        [f"{attack}: {panel}" for panel, attack in drawn], [2.5 for _ in drawn], more=legend_height(list(data["row"]))
    )
    for axis, (panel, attack) in zip(axes, drawn, strict=True):
        _panel(axis, data[(data["panel"] == panel) & (data["attack"] == attack)], column, scale)
        axis.set_ylabel(title)
        if scale == 100.0:
            axis.set_ylim(-4, 104)
    legend(figure)
    single = list(dict.fromkeys(shown(attack, 20) for panel, attack in keys if (panel, attack) not in drawn))
    remarked(figure, f"Not drawn: {', '.join(single)}, of one number of steps; see the CSV file." if single else "")
    return flush(figure)


def _panel(axis: "Axes", data: pd.DataFrame, column: str, scale: float) -> None:
    for name in dict.fromkeys(data["row"]):
        rows = data[data["row"] == name].dropna(subset=[column])
        if rows.empty:
            continue
        line = rows[rows["budget"].isin(["curve", "budget", "steps"])].sort_values("steps", kind="stable")
        look = look_of(rows.iloc[0])
        axis.plot(line["steps"], scale * line[column], label=shown(name), **look)
        for kind, mark in _DOUBLED.items():
            doubled = rows[rows["budget"] == kind]
            hollow = {**look, "marker": mark, "markersize": 8, "fillstyle": "none", "linestyle": "none"}
            axis.plot(doubled["steps"], scale * doubled[column], **hollow)
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.minorticks_off()
    axis.set_xlabel("steps")
