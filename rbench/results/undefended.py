"""Rows beside the undefended one: standard accuracies that say nothing about robustness, since little is right to begin with."""

import json
from collections.abc import Sequence

import numpy as np

from rbench.results import sample_columns as column
from rbench.results.flags.of_row import near_chance
from rbench.results.rankings import part, row_judged_on
from rbench.results.row import Row
from rbench.results.samples import numbers
from rbench.suite.cell import lasting


def flag_near_chance(rows: Sequence[Row]) -> None:
    """Flags rows whose standard accuracy, or that of the same backbone without a purifier on the same samples, is near chance.

    Args:
        rows: of all rankings, since radius and norm do not matter to it; their field `flags` grows.
    """
    bare: dict[str, float] = {}
    hopeless: set[str] = set()
    for row in rows:
        rights = _rights(row)
        if rights is not None and part(row, "purifier").get("name") == "identity":
            bare[_model(row)] = float(rights.mean())
            if near_chance(rights, _classes(row)):
                hopeless.add(_model(row))
    for row in rows:
        rights = _rights(row)
        if rights is None:
            continue
        model = _model(row)
        flag = near_chance(rights, _classes(row), undefended=bare.get(model), undefended_near_chance=model in hopeless)
        row.flags += [flag] if flag else []


def _rights(row: Row) -> np.ndarray | None:
    """The value [n] of each sample without an attack; None if no cell is done."""
    samples = next((cell.samples for cell in row.cells if cell.samples is not None), None)
    return None if samples is None else np.asarray(numbers(samples, column.CLEAN), dtype=np.float64)


def _classes(row: Row) -> int | None:
    return next((c.record.dataset.classes for c in row.cells if c.record and c.record.dataset.classes), None)


def _model(row: Row) -> str:
    """Backbone and samples, whatever stands in front of it."""
    found = row_judged_on(row)
    data = None if found is None else [found.data, found.ids]
    return json.dumps([lasting({"backbone": part(row, "backbone")}), data], sort_keys=True, default=str)
