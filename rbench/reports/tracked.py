"""Rows of a leaderboard as runs of an experiment tracker: parameters, metrics and tags of each, as plain values by harmless names."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from rbench.errors import RbenchError
from rbench.reports.plain import line, named
from rbench.results.flags.of_row import RowFlag
from rbench.results.record import Figure, Record
from rbench.results.runs import ReadCell
from rbench.results.table import Table
from rbench.suite.document import parse, read_text
from rbench.suite.load import read_spec

_PARTS = ("dataset", "backbone", "purifier", "threat", "protocol")
_OF_PART = {"name", "params", "version", "files"}
_VERSIONS = ("python", "torch", "torchvision", "numpy")
_NUMBERS = {"fraction", "seconds", "count"}
_IN_PARAMETERS = {"dataset", "backbone", "purifier", "norm", "eps_text", "decide", "judge", "flags"}
_OTHER = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST = 100
_ENDS = {"done": "done", "cancelled": "cancelled", "missing": "planned"}
"""By what blocks a row; everything else failed."""


@dataclass(frozen=True)
class Tracked:
    """One row, as a tracker keeps it.

    Attributes:
        experiment: name of the suite.
        place: of the row in the table.
        key: the same for the same cells, whenever and wherever they are reported.
        name: what a reader sees: backbone, purifier and threat.
        status: `done`, `failed`, `cancelled` or `planned`.
        params: what was asked for, and with which code and versions.
        metrics: what came out, fractions of all samples; intervals end in `_low` and `_high`.
        tags: the flags, and every text of the row.
        began: milliseconds since 1970 when its first finished cell was recorded; None where there is none.
        seconds: that its cells took.
    """

    experiment: str
    place: int
    key: str
    name: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    began: int | None
    seconds: float


def tracked(table: Table) -> list[Tracked]:
    """Every row of a table, in its order."""
    suites = {root: _suite(root) for root in dict.fromkeys(cells[0].root for cells in table.cells)}
    return [
        _tracked(table, place, row, suites[cells[0].root])
        for place, (row, cells) in enumerate(zip(table.rows(), table.cells, strict=True))
    ]


def plain_name(text: str) -> str:
    """A name that every tracker takes and that is no path: letters, digits, `_`, `.` and `-`."""
    return _OTHER.sub("_", text)[:_LONGEST].strip(".") or "_"


def _suite(root: Path) -> str:
    """The name of the suite beside the results; that of the folder where there is none."""
    try:
        return read_spec(parse(read_text(root / "suite.yaml"), "suite.yaml")).suite
    except (RbenchError, OSError):
        return plain_name(root.resolve().name)


def _tracked(table: Table, place: int, row: Mapping[str, Any], suite: str) -> Tracked:
    cells, doubts = table.cells[place], table.doubts[place]
    done = next((cell.record for cell in cells if cell.status == "done"), None)
    labels = _labels(cells)
    units = {name: column.unit for name, column in table.columns.items() if row.get(name) is not None}
    words = {name: line(str(row[name])) for name, unit in units.items() if unit in ("text", "yes/no")}
    return Tracked(
        experiment=suite,
        place=place,
        key=sha256("\n".join(sorted(cell.id for cell in cells)).encode()).hexdigest()[:16],
        name=f"{named(row['backbone'])}/{named(row['purifier'])} ({named(row['norm'])} {named(row['eps_text'])})",
        status=_ENDS.get(row["status"].partition(":")[0], "failed"),
        params=dict(_params(cells, labels)) | (_versions(done) if done else {}),
        metrics={name: float(row[name]) for name, unit in units.items() if unit in _NUMBERS}
        | dict(_figures(cells, labels)),
        tags={name: text for name, text in words.items() if name not in _IN_PARAMETERS} | _flags(doubts),
        began=_began(done),
        seconds=row["cost_seconds"] or 0.0,
    )


def _labels(cells: Sequence[ReadCell]) -> list[str]:
    """A name for each attack, no two alike."""
    labels = list[str]()
    for cell in cells:
        label, number = plain_name(cell.label("attack")), 2
        base = label
        while label in labels:
            label, number = f"{base}_{number}", number + 1
        labels.append(label)
    return labels


def _params(cells: Sequence[ReadCell], labels: Sequence[str]) -> Iterator[tuple[str, str]]:
    for part in _PARTS:
        yield from _of_part(part, cells[0].part(part))
    yield "judge", _text(cells[0].document.get("judge"))
    yield "attacks", _text([cell.label("attack") for cell in cells])
    for cell, label in zip(cells, labels, strict=True):
        yield from _of_part(f"attack.{label}", cell.part("attack"))


def _of_part(part: str, content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A part of a cell: its name, its parameters as `purifier.quality`, the hashes of its code and of its files."""
    if "name" in content:
        yield part, _text(content["name"])
    params = content.get("params")
    given = params if isinstance(params, dict) else {}
    for name, value in {**given, **{name: content[name] for name in content if name not in _OF_PART}}.items():
        yield f"{part}.{plain_name(str(name))}", _text(value)
    if content.get("version"):
        yield f"code.{part}", _text(content["version"])
    if content.get("files"):
        yield f"files.{part}", _text(content["files"])


def _text(value: Any) -> str:
    return line(value if isinstance(value, str) else json.dumps(value, sort_keys=True))


def _versions(record: Record) -> dict[str, str]:
    """Versions of what ran, and hashes of what was judged."""
    known = record.provenance
    packages = known.get("distributions")
    versions = {name: known[name] for name in _VERSIONS if name in known} | (
        packages if isinstance(packages, dict) else {}
    )
    hashes = {"data_sha256": record.dataset.sha256, "weights_sha256": known.get("weights_sha256")}
    return {f"version.{plain_name(name)}": _text(value) for name, value in versions.items()} | {
        name: _text(value) for name, value in hashes.items() if value
    }


def _figures(cells: Sequence[ReadCell], labels: Sequence[str]) -> Iterator[tuple[str, float]]:
    """The intervals of accuracies without an attack, and what each attack reached alone."""
    records = [(label, cell.record) for label, cell in zip(labels, cells, strict=True) if cell.status == "done"]
    for place, (label, record) in enumerate(records):
        if record is None or record.summary is None:
            continue
        if not place:
            yield from _ends("standard", record.summary.standard_accuracy)
            yield from _ends("noise", record.summary.noise_accuracy)
        yield f"attack/{label}/robust_accuracy", record.summary.robust_accuracy.value
        yield from _ends(f"attack/{label}/robust", record.summary.robust_accuracy)
        yield f"attack/{label}/seconds", record.cost.seconds


def _ends(name: str, figure: Figure) -> Iterator[tuple[str, float]]:
    yield f"{name}_low", figure.low
    yield f"{name}_high", figure.high


def _flags(doubts: Sequence[RowFlag]) -> dict[str, str]:
    """`flags`, all by name, and a tag for each flag with what was seen."""
    seen = dict[str, list[str]]()
    for doubt in doubts:
        parts = (doubt.attack, None if doubt.value is None else f"{doubt.value:.4g}", doubt.detail)
        seen.setdefault(doubt.name, []).append(": ".join(part for part in parts if part) or "raised")
    return {"flags": ", ".join(seen)} | {f"flag.{name}": line("; ".join(said)) for name, said in seen.items()}


def _began(record: Record | None) -> int | None:
    try:
        return (
            max(0, int(datetime.fromisoformat(str(record.provenance["date"])).timestamp() * 1000)) if record else None
        )
    except (KeyError, ValueError, OverflowError, OSError):
        return None
