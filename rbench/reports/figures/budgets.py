"""The attacks with other budgets on the same images that `protocol.convergence` asks for: the data of two figures."""

import pandas as pd

from rbench.reports.figures.rows import LOOK, shown_rows
from rbench.reports.plain import csv_text
from rbench.results.table import Table

COLUMNS = [
    "dataset",
    "panel",
    "row",
    "attack",
    "budget",
    "steps",
    "restarts",
    "eot",
    "samples",
    "robust",
    "loss",
    *LOOK,
]
KEYS = ("panel", "attack")
"""What a panel is of."""


def budgets(table: Table) -> pd.DataFrame:
    """A line for each budget of each cell, except attacks without a bound: steps, restarts, EOT draws, robust as a fraction, mean loss."""
    rows = [
        {
            **one.place,
            "attack": csv_text(cell.label("attack")),
            "budget": part.what,
            "steps": part.steps,
            "restarts": part.restarts,
            "eot": part.eot,
            "samples": part.samples,
            "robust": part.robust_accuracy,
            "loss": part.loss,
            **one.look,
        }
        for one in shown_rows(table)
        for cell in one.cells
        if cell.record
        for part in cell.record.convergence
        if part.what != "eps"
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"loss": "float64"})
