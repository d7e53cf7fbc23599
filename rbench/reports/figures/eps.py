"""Accuracy against the radius of the ball."""

from typing import TYPE_CHECKING

import pandas as pd

from rbench.reports.figures.rows import LOOK, shown_rows
from rbench.reports.figures.style import flush, grid, legend, legend_height, look_of, remarked, shown
from rbench.reports.plain import csv_text
from rbench.results.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWS = "Accuracy against eps: worst case of all attacks with its 95 % interval (solid), blind attacks only (dashed), no attack (eps = 0)."
LACKS = "no defended model was attacked under several radii on the same data"
MOST_LINES = 12
COLUMNS = ["dataset", "panel", "row", "backbone", "eps", "standard", "robust", "low", "high", "blind", *LOOK]


def frame(table: Table) -> pd.DataFrame:
    """A line for each radius of each defended model with several: eps, standard, robust, low, high, blind; fractions."""
    rows = []
    for one in shown_rows(table):
        row = one.row
        if row["robust_accuracy"] is None or row["eps"] is None:
            continue
        panel = csv_text(f"{row['dataset']}, {row['norm']}, {row['n']:,} samples")
        line = {**one.place, "panel": panel, "backbone": csv_text(row["backbone"]), "eps": row["eps"]}
        accuracies = {
            "standard": "standard_accuracy",
            "robust": "robust_accuracy",
            "low": "robust_low",
            "high": "robust_high",
        }
        line |= {short: row[column] for short, column in accuracies.items()}
        rows.append(line | {"blind": row["blind_robust_accuracy"], **one.look})
    lines = pd.DataFrame(rows, columns=COLUMNS).astype({"blind": "float64"})
    if lines.empty:
        return lines
    many = lines.groupby(["panel", "row", "backbone"])["eps"].transform("nunique") > 1
    return lines[many].sort_values(["panel", "row", "eps"], kind="stable").reset_index(drop=True)


def draw(data: pd.DataFrame) -> "Figure":
    """A panel for each set of samples, a line for each defended model."""
    panels = list(dict.fromkeys(data["panel"]))
    figure, axes = grid(
        panels,
        [2.9 for _ in panels],
        beside=1.4,
        more=legend_height(list(data["row"])) + 0.4 if len(panels) > 1 else 0.1,
    )
    left = [_panel(axis, data[data["panel"] == panel]) for axis, panel in zip(axes, panels, strict=True)]
    legend(
        figure,
        "solid: worst case\ndashed: blind"
        if len(panels) == 1
        else "solid: worst case of all attacks; dashed: blind attacks only",
    )
    remarked(figure, f"Not drawn: {sum(left)} lines of lower accuracy; see the CSV file." if any(left) else "")
    return flush(figure)


def _panel(axis: "Axes", rows: pd.DataFrame) -> int:
    """Draws the lines, those of the highest accuracy if they are many; how many are left out."""
    lines = list(rows.groupby(["row", "backbone"], sort=False))
    lines.sort(key=lambda line: -line[1]["robust"].mean())
    for (name, _), line in lines[:MOST_LINES]:
        look = look_of(line.iloc[0])
        # At eps = 0 robust and blind accuracy are the standard accuracy.
        eps, start = [0.0, *line["eps"]], float(line["standard"].iloc[0])
        axis.plot(eps, [100 * share for share in (start, *line["robust"])], label=shown(str(name)), zorder=3, **look)
        low, high = ([100 * share for share in (start, *line[end])] for end in ("low", "high"))
        axis.fill_between(eps, low, high, color=look["color"], alpha=0.15, linewidth=0)
        if line["blind"].notna().all():
            blind = [100 * share for share in (start, *line["blind"])]
            axis.plot(eps, blind, linestyle=(0, (4, 2)), linewidth=1.0, alpha=0.8, markersize=2.5, **look)
    axis.set_xlabel("eps (on the [0, 1] pixel scale)")
    axis.set_ylabel("accuracy (%)")
    axis.set_ylim(-3, 103)
    axis.set_xlim(left=0)
    return max(0, len(lines) - MOST_LINES)
