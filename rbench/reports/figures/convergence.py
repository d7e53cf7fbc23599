"""Have the attacks converged? Accuracy and loss against the budget."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from rbench.reports.figures.budgets import budgets
from rbench.reports.figures.style import WIDTH, blank, colour, marker, shown
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
ACROSS, MOST = 2, 12


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
    long = [
        key
        for key in keys
        if data[(data["panel"] == key[0]) & (data["attack"] == key[1])]["steps"].drop_duplicates().size > 1
    ]
    drawn = (long or keys)[:MOST]
    names, alone = list(dict.fromkeys(data["row"])), len({panel for panel, _ in drawn}) == 1
    down = -(-len(drawn) // ACROSS)
    figure = blank(WIDTH, 0.6 + 2.3 * down)
    axes = figure.subplots(down, min(ACROSS, len(drawn)), squeeze=False, sharey=scale == 100.0).flat
    for place, axis in enumerate(axes):
        if place >= len(drawn):
            axis.remove()
            continue
        panel, attack = drawn[place]
        some = data[(data["panel"] == panel) & (data["attack"] == attack)]
        _panel(axis, some, names, column, scale)
        axis.set_title(shown(attack if alone else f"{attack}: {panel}", 44))
        axis.set_xlabel("steps")
    figure.axes[0].set_ylabel(title)
    if alone:
        figure.suptitle(shown(drawn[0][0], 80), fontsize=8.5)
    handles = {
        label: handle for axis in figure.axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return figure


def _panel(axis: "Axes", data: pd.DataFrame, names: list[str], column: str, scale: float) -> None:
    for name in dict.fromkeys(data["row"]):
        place, rows = names.index(name), data[data["row"] == name].dropna(subset=[column])
        line = rows[rows["budget"].isin(["curve", "budget", "steps"])].sort_values("steps", kind="stable")
        look: dict[str, Any] = {"color": colour(place)}
        axis.plot(line["steps"], scale * line[column], marker=marker(place), label=shown(name), **look)
        for kind, mark in _DOUBLED.items():
            doubled = rows[rows["budget"] == kind]
            axis.plot(
                doubled["steps"],
                scale * doubled[column],
                marker=mark,
                markersize=8,
                markerfacecolor="none",
                linestyle="none",
                **look,
            )
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.minorticks_off()
