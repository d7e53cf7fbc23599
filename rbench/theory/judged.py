"""Robust accuracies of a finished run, for the same defended models on the same samples; no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rbench.errors import InputError
from rbench.results.runs import ReadCell, Runs, read_runs
from rbench.results.table import table
from rbench.suite.cell import Cell, lasting

_CONTENT = ("dataset", "backbone", "purifier", "threat")


def robust_accuracies(cells: Sequence[Cell], folder: Path) -> list[float]:
    """The worst case over all attacks of the run, for each cell's defended model; the cell's own attack does not matter.

    A row counts only if its samples, parameters and the bytes of its weights are those of the cell. Versions of code may differ.

    Args:
        cells: one for each defended model under a threat.
        folder: what `rbench run` wrote.

    Raises:
        InputError: no such folder, or it has no finished row for one of them.
    """
    runs = read_runs([folder])
    return [_worst(cell, runs, folder) for cell in cells]


def _worst(cell: Cell, runs: Runs, folder: Path) -> float:
    where = f"--run: {folder}: {cell.backbone.label}/{cell.purifier.label} at eps {cell.threat.eps.text}"
    wanted = _content(cell.document())
    same = tuple(one for one in runs.cells if _is(one, wanted))
    if not same:
        raise InputError(f"{where}: not in it with these samples and weights. Run the suite")
    rows = table(Runs(same)).rows()
    if len(rows) != 1:
        raise InputError(f"{where}: there {len(rows)} times, under several protocols. Give a run of one")
    if rows[0]["robust_accuracy"] is None:
        raise InputError(f"{where}: no robust accuracy ({rows[0]['status']}). Run the suite to its end")
    return float(rows[0]["robust_accuracy"])


def _is(cell: ReadCell, wanted: dict[str, Any]) -> bool:
    return all(isinstance(cell.document.get(name), dict) for name in _CONTENT) and _content(cell.document) == wanted


def _content(document: dict[str, Any]) -> dict[str, Any]:
    kept = lasting(document)
    return {name: {**kept[name], "files": document[name].get("files")} for name in _CONTENT}
