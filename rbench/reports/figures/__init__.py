"""Figures of a leaderboard: each drawn from a frame that is written beside it, so that anyone can draw it otherwise."""

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING

from rbench.reports.plain import markdown_text

if TYPE_CHECKING:
    from pandas import DataFrame

    from rbench.results.table import Table

FIGURES = {
    "blind-vs-adaptive": "blind",
    "accuracy-vs-eps": "eps",
    "robust-vs-standard": "sweep",
    "accuracy-per-attack": "attacks",
    "robustness-vs-cost": "cost",
    "convergence": "convergence",
    "loss-paths": "loss",
    "images": "images",
}
"""Name of the files -> the module with `frame(table)`, which is what is shown, and `draw(frame)`, which sees nothing else."""


def drawn(table: "Table") -> dict[str, dict[str, "DataFrame"]]:
    """The data of each figure: those that one name stands for, each under its own; empty where the table has nothing for it."""
    from rbench.reports.figures.pages import MOST_PANELS, pages

    found = {}
    for name, module_name in FIGURES.items():
        module = import_module(f"rbench.reports.figures.{module_name}")
        keys, most = getattr(module, "KEYS", ("panel",)), getattr(module, "MOST", MOST_PANELS)
        found[name] = pages(name, module.frame(table), keys, most)
    return found


def pictures(table: "Table", names: Iterable[str]) -> dict[str, bytes]:
    """Some figures as PNG alone, by their place; those for which the table has nothing are left out."""
    from rbench.reports.figures.style import rendered

    made, figures = dict[str, bytes](), drawn(table)
    for name in names:
        module = import_module(f"rbench.reports.figures.{FIGURES[name]}")
        for page, data in figures[name].items():
            made[f"figures/{page}.png"] = rendered(module.draw, data, ("png",))["png"]
    return made


def report(table: "Table") -> dict[str, str | bytes]:
    """Figures as PNG, SVG and PDF, the data of each as CSV, and what each shows."""
    from rbench.reports.figures.style import rendered

    made: dict[str, str | bytes] = {}
    lines = [
        "# Figures",
        "",
        "Each is drawn from the CSV file of its name alone. A purifier has one colour and marker in all of them, black is the undefended "
        "backbone. `rbench theory` draws the one of the CRoPD theorem.",
        "",
    ]
    for name, figures in drawn(table).items():
        module = import_module(f"rbench.reports.figures.{FIGURES[name]}")
        if not figures:
            lines.append(f"- {name}: not drawn, since {module.LACKS}.")
            continue
        lines.append(f"- {name}: {module.SHOWS}")
        for page, data in figures.items():
            made[f"figures/{page}.csv"] = data.to_csv(index=False, lineterminator="\n")
            for kind, content in rendered(module.draw, data).items():
                made[f"figures/{page}.{kind}"] = content
            panels = "; ".join(markdown_text(panel) for panel in dict.fromkeys(data["panel"]))
            lines.append(f"  - [{page}]({page}.png) ([PDF]({page}.pdf)): {panels}")
    made["figures/README.md"] = "\n".join(lines) + "\n"
    return made
