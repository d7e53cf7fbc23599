"""Rows put together into rankings: which were judged alike, and why the others stand apart."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rbench.results.row import Row
from rbench.results.rows import JudgedOn, digest, judged_on, lasting_digest

_NO_JUDGING = {"convergence"}
"""Parts of a protocol that only add diagnostics."""


def rankings_of(rows: Sequence[Row]) -> list[list[Row]]:
    """The rankings, each a list of rows with the same images and sample ids, norm, eps, protocol and judge; fills their field `group`.

    Rows without a single result stand with those that were planned alike.
    """
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    planned: dict[str, tuple[str, ...]] = {}
    for row in rows:
        if found := row_judged_on(row):
            data = [str(part(row, "dataset").get("name")), found.data or _planned(row), found.ids]
            groups[(*data, *_rules(row))].append(row)
            planned.setdefault(_planned(row), (*data, *_rules(row)))
    for row in rows:
        if row_judged_on(row) is None:
            groups[planned.get(_planned(row), ("planned", _planned(row)))].append(row)
    marks: dict[str, int] = defaultdict(int)
    for group in groups.values():
        mark = digest(group[0].cells[0], "attack", "backbone", "purifier")
        marks[mark] += 1
        for row in group:
            row.fields["group"] = mark if marks[mark] == 1 else f"{mark}-{marks[mark]}"
    return list(groups.values())


def reasons_apart(groups: Sequence[Sequence[Row]], folders: Sequence[Path]) -> list[str]:
    """Why rankings that a later folder brought are none of an earlier folder's, one line each.

    Args:
        groups: the rankings, as `rankings_of` made them.
        folders: the run folders, in the order in which they were given.
    """
    place = {folder: index for index, folder in enumerate(folders)}
    ordered = sorted(groups, key=lambda group: min(place[root] for root in roots(group)))
    notes = []
    for index, group in enumerate(ordered):
        here, before = roots(group), ordered[:index]
        if folders[0] in here or not before:
            continue
        apart = min((_differences(group[0], other[0]) for other in before), key=len)
        fields, rows = group[0].fields, f"{len(group)} row{'s' if len(group) > 1 else ''}"
        what = f"{rows} on {fields['dataset']}, {fields['norm']} {fields['eps_text']}"
        verb = "stand" if len(group) > 1 else "stands"
        notes.append(f"{', '.join(map(str, here))}: {what}, {verb} apart: {'; '.join(apart)}.")
    return notes


def row_judged_on(row: Row) -> JudgedOn | None:
    """What a row was judged on; None if none of its cells is done."""
    return next((found for cell in row.cells if (found := judged_on(cell))), None)


def roots(group: Sequence[Row]) -> list[Path]:
    """The folders that the cells of some rows are in; where all are missing, those that planned them."""
    cells = [cell for row in group for cell in row.cells]
    there = [cell.root for cell in cells if cell.status != "missing"]
    return list(dict.fromkeys(there or [cell.root for cell in cells]))


def part(row: Row, name: str) -> dict[str, Any]:
    """One part of the cells of a row, as planned; empty if they have none."""
    return row.cells[0].part(name)


def _protocol(row: Row) -> dict[str, Any]:
    return {key: value for key, value in part(row, "protocol").items() if key not in _NO_JUDGING}


def _rules(row: Row) -> tuple[str, ...]:
    threat, judge = part(row, "threat"), row.cells[0].document.get("judge")
    return str(threat.get("norm")), str(threat.get("eps")), str(sorted(_protocol(row).items())), str(judge)


def _planned(row: Row) -> str:
    data = lasting_digest(row.cells[0], "attack", "backbone", "purifier", "threat", "protocol")
    return " ".join((data, *_rules(row)))


def _differences(one: Row, other: Row) -> list[str]:
    """What keeps a row (the first) from standing with another one."""
    found = []
    judges = [row.cells[0].document.get("judge") for row in (one, other)]
    if judges[0] != judges[1]:
        found.append(f"judged by version {judges[0]} of the rules, not {judges[1]}")
    for name in ("norm", "eps"):
        here, there = (part(row, "threat").get(name) for row in (one, other))
        if here != there:
            found.append(f"{name} {here}, not {there}")
    protocols = _protocol(one), _protocol(other)
    for name in dict.fromkeys([*protocols[0], *protocols[1]]):
        here, there = (protocol.get(name) for protocol in protocols)
        if here != there:
            found.append(f"{name} {here}, not {there}")
    return [*found, *_data_differences(one, other)]


def _data_differences(one: Row, other: Row) -> list[str]:
    names = [part(row, "dataset").get("name") for row in (one, other)]
    labels = [row.fields["dataset"] for row in (one, other)]
    if names[0] != names[1]:
        here, there = labels if labels[0] != labels[1] else names
        return [f"on {here}, not {there}"]
    first, second = row_judged_on(one), row_judged_on(other)
    if first and second and first.data and first[:2] == second[:2]:
        return []
    sizes = [row.fields["n"] for row in (one, other)]
    if sizes[0] != sizes[1]:
        return [f"{sizes[0]} samples, not {sizes[1]}"]
    if first and second and first.data != second.data:
        here, there = (str(found.data)[:8] for found in (first, second))
        return [f"on other images or labels (sha256 {here}, not {there})"]
    if first and second and first.ids != second.ids:
        return ["on other samples of the same data set"]
    return [] if _planned(one) == _planned(other) else ["the data set has other parameters"]
