"""One row: its accuracies with their intervals, without an attack, under each attack, in the worst case."""

from typing import TYPE_CHECKING

import pandas as pd

from rbench.reports.figures.style import WIDTH, blank, shown
from rbench.results.record import Figure as Accuracy
from rbench.results.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WORST, NONE, NOISE = "worst case", "no attack", "uniform noise"


def frame(table: Table) -> pd.DataFrame:
    """A line for each accuracy of the first row: title, what, value, low, high."""
    row, records = table.rows()[0], [cell.record for cell in table.cells[0] if cell.record and cell.record.summary]
    found: list[tuple[str, Accuracy]] = []
    for place, record in enumerate(records):
        assert record.summary is not None
        if place == 0:
            found += [(NONE, record.summary.standard_accuracy), (NOISE, record.summary.noise_accuracy)]
        found.append((record.attack.label, record.summary.robust_accuracy))
    lines = [{"what": what, "value": one.value, "low": one.low, "high": one.high} for what, one in found]
    lines.append({"what": WORST, "value": row["robust_accuracy"], "low": row["robust_low"], "high": row["robust_high"]})
    title = f"{row['purifier']} on {row['backbone']}, {row['norm']} {row['eps_text']}, {row['n']} images"
    return pd.DataFrame([{"title": title, **line} for line in lines])


def draw(data: pd.DataFrame) -> "Figure":
    """A mark with its interval on each line, the worst case at the bottom and dark."""
    figure = blank(WIDTH, 0.9 + 0.27 * len(data))
    axis = figure.subplots()
    for place, (_, one) in enumerate(data.iterrows()):
        colour = "k" if one["what"] == WORST else "C0"
        marker = "s" if one["what"] == WORST else "o"
        axis.plot([100 * one["low"], 100 * one["high"]], [place, place], color=colour, linewidth=2.5, alpha=0.4)
        axis.plot(100 * one["value"], place, marker, color=colour)
        axis.annotate(
            f"{100 * one['value']:.1f}", (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=7
        )
    axis.set_yticks(range(len(data)), [shown(str(what)) for what in data["what"]])
    axis.set_ylim(len(data) - 0.5, -0.5)
    axis.set_xlim(-2, 102)
    axis.set_xlabel("accuracy (%), 95 % interval")
    axis.set_title(shown(str(data["title"].iloc[0]), 80))
    return figure
