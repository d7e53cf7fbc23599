"""Figures of a leaderboard: each drawn from a frame that is written beside it, so that anyone can draw it otherwise."""

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def pictures(table: "Table", names: Iterable[str]) -> dict[str, bytes]:
    """Some figures as PNG alone, by their place; those for which the table has nothing are left out."""
    from rbench.reports.figures.style import rendered

    made: dict[str, bytes] = {}
    for name in names:
        module = import_module(f"rbench.reports.figures.{FIGURES[name]}")
        data = module.frame(table)
        if not data.empty:
            made[f"figures/{name}.png"] = rendered(module.draw, data, ("png",))["png"]
    return made


def report(table: "Table") -> dict[str, str | bytes]:
    """Figures as PNG and SVG, the data of each as CSV, and what each shows."""
    from rbench.reports.figures.style import rendered

    made: dict[str, str | bytes] = {}
    lines = [
        "# Figures",
        "",
        "Each is drawn from the CSV file of its name alone. `rbench theory` draws the one of the CRoPD theorem.",
        "",
    ]
    for name, module_name in FIGURES.items():
        module = import_module(f"rbench.reports.figures.{module_name}")
        data = module.frame(table)
        if data.empty:
            lines.append(f"- {name}: not drawn, since {module.LACKS}.")
            continue
        made[f"figures/{name}.csv"] = data.to_csv(index=False, lineterminator="\n")
        for kind, content in rendered(module.draw, data).items():
            made[f"figures/{name}.{kind}"] = content
        lines.append(f"- [{name}]({name}.png): {module.SHOWS}")
    made["figures/README.md"] = "\n".join(lines) + "\n"
    return made
