"""Rows that were judged alike, under one heading."""

from itertools import groupby
from typing import Any

from rbench.results.table import Table


def groups(table: Table) -> list[tuple[str, list[dict[str, Any]]]]:
    """The table's rows in groups, each with a heading that says what they were judged on."""
    found = []
    for _, members in groupby(table.rows(), key=lambda row: row["group"]):
        rows = list(members)
        found.append((_heading(rows), rows))
    return found


def several_backbones(rows: list[dict[str, Any]]) -> bool:
    """Whether a group needs a column for the backbone."""
    return len({row["backbone"] for row in rows}) > 1


def _heading(rows: list[dict[str, Any]]) -> str:
    first = rows[0]
    n = "?" if first["n"] is None else f"{first['n']:,}"
    words = [f"{first['dataset']} ({n} samples)", f"{first['norm']} {first['eps_text']}"]
    if not several_backbones(rows):
        words.insert(1, first["backbone"])
    draws = max(row["draws"] or 1 for row in rows)
    if draws > 1:
        words.append(f"random purifiers: {first['decide']} of {draws} draws")
    return ", ".join(words)
