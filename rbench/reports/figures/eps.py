"""Accuracy against the radius of the ball."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from rbench.reports.figures.rows import MOST_PANELS, named
from rbench.reports.figures.style import WIDTH, colour, marker, shown, stacked
from rbench.reports.plain import csv_text
from rbench.results.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWS = "Accuracy against eps: worst case of all attacks with its 95 % interval (solid), blind attacks only (dashed), no attack (eps = 0)."
LACKS = "no defended model was attacked under several radii on the same data"
MOST_LINES = 8


def frame(table: Table) -> pd.DataFrame:
    """A line for each radius of each defended model with several: panel, row, eps, standard, robust, low, high, blind; fractions."""
    rows = []
    for _, name, row, _ in named(table):
        if row["robust_accuracy"] is None or row["eps"] is None:
            continue
        panel = csv_text(f"{row['dataset']} ({row['n']} samples), {row['norm']}")
        line = {"panel": panel, "row": name, "backbone": csv_text(row["backbone"]), "eps": row["eps"]}
        accuracies = {
            "standard": "standard_accuracy",
            "robust": "robust_accuracy",
            "low": "robust_low",
            "high": "robust_high",
        }
        line |= {short: row[column] for short, column in accuracies.items()}
        rows.append(line | {"blind": row["blind_robust_accuracy"]})
    columns = ["panel", "row", "backbone", "eps", "standard", "robust", "low", "high", "blind"]
    lines = pd.DataFrame(rows, columns=columns).astype({"blind": "float64"})
    if lines.empty:
        return lines
    many = lines.groupby(["panel", "row", "backbone"])["eps"].transform("nunique") > 1
    return lines[many].sort_values(["panel", "row", "eps"], kind="stable").reset_index(drop=True)


def draw(data: pd.DataFrame) -> "Figure":
    """A panel for each set of samples, a line for each defended model."""
    panels = list(dict.fromkeys(data["panel"]))[:MOST_PANELS]
    return stacked(data, panels, WIDTH * 0.8, _panel)


def _panel(axis: "Axes", rows: pd.DataFrame) -> None:
    lines = list(rows.groupby(["row", "backbone"], sort=False))
    lines.sort(key=lambda line: -line[1]["robust"].mean())
    for place, ((name, _), line) in enumerate(lines[:MOST_LINES]):
        look: dict[str, Any] = {"color": colour(place), "marker": marker(place)}
        # At eps = 0 robust and blind accuracy are the standard accuracy.
        eps, start = [0.0, *line["eps"]], float(line["standard"].iloc[0])
        axis.plot(eps, [100 * share for share in (start, *line["robust"])], label=shown(str(name)), zorder=3, **look)
        low, high = ([100 * share for share in (start, *line[end])] for end in ("low", "high"))
        axis.fill_between(eps, low, high, color=look["color"], alpha=0.15, linewidth=0)
        if line["blind"].notna().all():
            blind = [100 * share for share in (start, *line["blind"])]
            axis.plot(eps, blind, linestyle=(0, (4, 2)), linewidth=1.0, alpha=0.8, markersize=2.5, **look)
    left = f"; {len(lines) - MOST_LINES} more in the CSV file" if len(lines) > MOST_LINES else ""
    axis.legend(
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        title=f"solid: worst case\ndashed: blind{left}",
        title_fontsize=7.5,
    )
    axis.set_xlabel("eps (on the [0, 1] pixel scale)")
    axis.set_ylabel("accuracy (%)")
    axis.set_ylim(-3, 103)
    axis.set_xlim(left=0)
