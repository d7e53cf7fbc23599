"""The leaderboard as RobustBench's `model_info` files: one for each row that has a number."""

import html
import json
import re
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from rbench.reports.groups import Row, remark
from rbench.reports.plain import named
from rbench.results import sample_columns as column
from rbench.results.runs import ReadCell
from rbench.results.table import Table

_OTHER = re.compile(r"[^A-Za-z0-9+-]+")
_NAME_LENGTH = 60
_NO_DOUBT_OF_THE_ATTACKS = {"few-samples", "unverified"}
_DEVICES = {"con", "prn", "aux", "nul", *(f"{kind}{digit}" for kind in ("com", "lpt") for digit in range(10))}


def report(table: Table) -> dict[str, str]:
    """RobustBench's model_info, one JSON file a row."""
    rows = [
        (row, cells) for row, cells in zip(table.rows(), table.cells, strict=True) if row["robust_accuracy"] is not None
    ]
    places = [_place(row) for row, _ in rows]
    times = Counter(place.lower() for place in places)
    files = {}
    for place, (row, cells) in zip(places, rows, strict=True):
        # Another radius, or labels that differ only in what no file name may hold: a hash of what makes the row one keeps them apart.
        mark = f"-{_digest(row)}" if times[place.lower()] > 1 else ""
        files[f"{place}{mark}.json"] = json.dumps(_content(row, cells), indent=2, allow_nan=False) + "\n"
    return files


def _content(row: Row, cells: Sequence[ReadCell]) -> dict[str, Any]:
    """The document. Null is what only a paper can say; RobustBench's own `benchmark(to_disk=True)` leaves the same fields null."""
    behind = "" if _is_bare(cells) else f" behind {_text(row['purifier'])}"
    content = {
        "link": None,
        "name": None,
        "authors": None,
        "additional_data": None,
        "number_forward_passes": row["draws"] if row["decide"] == "majority" else 1,
        "dataset": _text(row["dataset"]),
        "venue": None,
        "architecture": f"{_text(row['backbone'])}{behind}",
        "eps": _text(row["eps_text"]),
        "clean_acc": _accuracy(row["standard_accuracy"]),
        "reported": None,
    }
    autoattacks = [(_robust(cell), cell) for cell in cells if _is_autoattack(cell)]
    lowest = min(autoattacks, key=lambda one: one[0]) if autoattacks else None
    robust = _accuracy(row["robust_accuracy"])
    if lowest:
        content["autoattack_acc"] = _accuracy(lowest[0])
    if content.get("autoattack_acc") != robust:
        content["external"] = robust
    footnote = " ".join(_footnotes(row, cells, lowest[1] if lowest else None))
    return content | {"footnote": footnote, "unreliable": not _NO_DOUBT_OF_THE_ATTACKS.issuperset(row["flags"])}


def _footnotes(row: Row, cells: Sequence[ReadCell], autoattack: ReadCell | None) -> list[str]:
    low, high = _accuracy(row["robust_low"]), _accuracy(row["robust_high"])
    attacks = ", ".join(_text(cell.label("attack")) for cell in cells)
    notes = [
        f"{_accuracy(row['robust_accuracy'])}% robust accuracy (95% interval {low} to {high}) is the worst case over {attacks}, "
        f"judged by rbench on {row['n']:,} samples."
    ]
    if not _is_bare(cells):
        notes.insert(0, f"The purifier {_text(row['purifier'])} stands in front of a frozen {_text(row['backbone'])}.")
    if autoattack and autoattack.record:
        attack = autoattack.record.attack
        engine = _text(str(attack.params.get("engine", "reference")))
        version, path = _text(str(attack.params.get("version"))), f"gradient path {attack.gradient}"
        notes.append(f"AutoAttack: {version}, engine {engine}, {path}, {attack.eot} draw(s) per gradient.")
    notes.append(f"Strongest attack: {_text(row['strongest_attack'])}, gradient path {row['gradient'] or 'none'}.")
    if row["stochastic"]:
        notes.append(remark([row]) or "Random purifiers: one draw for each sample.")
    if flags := [name for name in row["flags"] if name != "unverified"]:
        notes.append(f"Flags: {', '.join(flags)}.")
    again = "were judged again" if row["verified"] else "have not been judged again"
    return [*notes, f"{'Verified' if row['verified'] else 'Unverified'}: the adversarial examples {again}."]


def _is_autoattack(cell: ReadCell) -> bool:
    """Whether AutoAttack itself attacked the whole defended model: not a selection of its members, and not the bare backbone."""
    if cell.record is None or cell.samples is None or cell.record.attack.name != "autoattack":
        return False
    attack = cell.record.attack
    return attack.params.get("version") != "custom" and (attack.gradient != "blind" or _is_bare([cell]))


def _is_bare(cells: Sequence[ReadCell]) -> bool:
    return all(cell.record is None or cell.record.purifier.name == "identity" for cell in cells)


def _robust(cell: ReadCell) -> float:
    assert cell.samples is not None
    return float(cell.samples[column.ROBUST].to_numpy().mean(dtype=np.float64))


def _accuracy(share: float) -> str:
    return f"{100 * share:.2f}"


def _text(name: str) -> str:
    # RobustBench's template of the leaderboard does not escape what it shows.
    return html.escape(named(name))


def _place(row: Row) -> str:
    """`model_info/<dataset>/<norm>/<backbone>_<purifier>`, of names that are none of the system's and lead nowhere else."""
    parts = [_OTHER.sub("-", row[name])[:_NAME_LENGTH].strip("-") or "unnamed" for name in ("backbone", "purifier")]
    dataset = _OTHER.sub("-", row["dataset"])[:_NAME_LENGTH].strip("-").lower()
    # Windows takes `con`, `nul` and others for devices whatever their suffix, so a folder gets another name.
    folder = f"{dataset}-data" if not dataset or dataset in _DEVICES else dataset
    return f"model_info/{folder}/{_OTHER.sub('-', row['norm'])}/{'_'.join(parts)}"


def _digest(row: Row) -> str:
    what = [row[name] for name in ("dataset", "backbone", "purifier", "norm", "eps_text", "group")]
    return sha256(json.dumps(what).encode()).hexdigest()[:8]
