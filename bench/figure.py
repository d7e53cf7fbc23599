"""Time against the share of samples that survive: rbench and the authors' AutoAttack, a panel a model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from rbench.reports.figures.style import WIDTH, blank, colour, marker, rendered

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ATTACKS = ("autoattack", "apgd", "pgd")
HEIGHT = 2.4
LINES = ("-", ":")
"""Of points with the largest budget, and with a smaller one."""
NAME = "time-against-robust-share"


def frame(rows: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """A line for each point: model, attack, who, share that survives, milliseconds an image.

    Of each model it is the first of `ATTACKS` that was measured at two shares or more, against the library that has all of these rows.
    """
    points = []
    for name, row in rows.items():
        if not name.startswith("table/") or "missing" in row:
            continue
        known = {library: figures for library, figures in row["references"].items() if "missing" not in figures}
        for who, figures in {"rbench": row["rbench"], **known}.items():
            ms = figures["seconds"] / row["images"] * 1e3
            title, budget = f"{row['model']}: {row['name']}", sum(row["budget"].values())
            points.append((title, row["attack"], who, figures["robust"], ms, budget))
    columns = ["model", "attack", "who", "survive", "ms", "budget"]
    found = pd.DataFrame(points, columns=columns)
    kept = [_of_model(found[found["model"] == model]) for model in found["model"].unique()]
    return pd.concat(kept, ignore_index=True) if kept else found


def _of_model(own: pd.DataFrame) -> pd.DataFrame:
    for attack in ATTACKS:
        some = own[own["attack"] == attack]
        if len(some[some["who"] == "rbench"]) >= 2:
            break
    else:
        return own.head(0)
    library = some[some["who"] != "rbench"]["who"].head(1).tolist()
    return some[some["who"].isin(["rbench", *library])]


def draw(data: pd.DataFrame) -> "Figure":
    """The panels."""
    models = list(data["model"].unique())
    columns = min(2, len(models))
    lines = -(-len(models) // columns)
    figure = blank(WIDTH, HEIGHT * lines)
    for place, model in enumerate(models):
        axis = figure.add_subplot(lines, columns, place + 1)
        own = data[data["model"] == model]
        for number, who in enumerate(sorted(own["who"].unique(), key=lambda who: who != "rbench")):
            largest_first = own[own["who"] == who].sort_values(["budget", "survive"], ascending=[False, True])
            parts = largest_first.groupby("budget", sort=False)
            for (_, some), style, label in zip(parts, LINES, (who, f"{who}, smaller budget"), strict=False):
                axis.plot(some["survive"], some["ms"], style, color=colour(number), marker=marker(number), label=label)
        axis.set_yscale("log")
        axis.set_xlim(-0.03, max(0.75, float(own["survive"].max()) + 0.05))
        axis.set_title(f"{model}, {own['attack'].iloc[0]}", loc="left")
        axis.set_ylabel("ms an image")
        if place >= len(models) - columns:
            axis.set_xlabel("share of samples that survive")
        axis.legend()
    return figure


def pictures(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    """The figure as PNG and SVG; none where there is too little to draw."""
    data = frame(rows)
    return rendered(draw, data) if len(data) else {}
