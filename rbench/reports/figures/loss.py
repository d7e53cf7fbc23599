"""The loss along an attack."""

from typing import TYPE_CHECKING

import pandas as pd

from rbench.reports.figures.budgets import KEYS, budgets
from rbench.reports.figures.convergence import panels
from rbench.results.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWS = (
    "Mean loss at the points that each attack proposes. Where no draw is averaged an attack stops at the first point that fools, so where "
    "it wins with small steps its loss is low; where nothing falls, a loss that does not rise says that there is no gradient to follow."
)
LACKS = "no cell was attacked with other budgets (`protocol: {convergence: N}`)"
__all__ = ["KEYS", "LACKS", "SHOWS", "draw", "frame"]


def frame(table: Table) -> pd.DataFrame:
    """See `budgets`; where a loss was measured."""
    found = budgets(table)
    return found[found["loss"].notna()].reset_index(drop=True)


def draw(data: pd.DataFrame) -> "Figure":
    """A panel for each attack, a line for each row."""
    return panels(data, "loss", "mean loss", 1.0)
