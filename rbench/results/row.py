"""One row of the leaderboard, from the cells of one defended model under one threat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rbench.results.flags.catalogue import FlagName
from rbench.results.flags.of_row import Judged, RowFlag, few_samples, flags_of_cells, unverified, weak_gradient
from rbench.results.runs import ReadCell
from rbench.results.worst_case import Rule, Values, attack_scores, clean_scores

DEAD = 0.5
"""From this share of samples with a zero gradient on, no gradient goes through the defended model: the audit's own threshold."""


@dataclass
class Row:
    """A row in the making.

    Attributes:
        cells: what it is made of.
        fields: the columns of the leaderboard, those of the group's ranking still missing.
        flags: its doubts so far.
        outcome: [n] value of each sample in the worst case; None while the row is blocked.
        data: hash of the images and labels that were judged.
    """

    cells: Sequence[ReadCell]
    fields: dict[str, Any]
    flags: list[RowFlag]
    outcome: Values | None
    data: str | None


def make_row(cells: Sequence[ReadCell]) -> Row:
    """Judge a row. A cell that is not done blocks it: the worst case over the others is no robust accuracy."""
    blocked = _blocked(cells)
    done = [cell for cell in cells if cell.status == "done"]
    fields = _facts(cells) | {"status": blocked or "done"}
    flags = _flags_of_records(cells)
    data = next((c.record.dataset.sha256 for c in done if c.record), None)
    if done:
        fields |= _accuracies_without_attack(done[0])
        if small := few_samples(fields["n"]):
            flags.append(small)
        if doubt := unverified(
            [cell.label("attack") for cell in done if not cell.verified and not _said(cell, "unverified")]
        ):
            flags.append(doubt)
    if blocked.startswith("mixed"):
        return Row(cells, fields, flags, None, data)
    random = bool(fields["stochastic"]) or (fields["draws"] or 1) > 1
    decide = fields["decide"]
    judged = [_judged(cell) for cell in done]
    clean = clean_scores(done[0].samples, random=random, decide=decide) if done else None
    rule = Rule(random, decide, clean)
    blind = [cell for cell in cells if _is_blind(cell)]
    if blind and all(cell.status == "done" for cell in blind):
        chosen = [one.scores for one, cell in zip(judged, done, strict=True) if _is_blind(cell)]
        fields["blind_robust_accuracy"] = rule.worst(chosen).accuracy()
    if blocked:
        return Row(cells, fields, flags, None, data)
    worst = rule.worst([cell.scores for cell in judged])
    estimate = worst.estimate()
    strongest = min(judged, key=lambda cell: float(cell.scores.value.mean()))
    fields |= {
        "robust_accuracy": estimate.value,
        "robust_low": estimate.low,
        "robust_high": estimate.high,
        "strongest_attack": strongest.label,
        "gradient": strongest.gradient,
    }
    flags.extend(flags_of_cells(judged, rule))
    if weak := _weak_gradient(judged, done):
        flags.append(weak)
    return Row(cells, fields, flags, worst.value, data)


def _blocked(cells: Sequence[ReadCell]) -> str:
    """Why the row has no number, naming the attacks; empty if it has one."""
    done = [cell for cell in cells if cell.status == "done"]
    for cell in done[1:]:
        if not _same_data(done[0], cell):
            return f"mixed: {done[0].label('attack')} and {cell.label('attack')} were judged on different data"
        if _weights(done[0]) != _weights(cell):
            return f"mixed: {done[0].label('attack')} and {cell.label('attack')} were run on different weights"
    states = ("failed", "cancelled", "unreadable", "missing")
    named = {state: [cell.label("attack") for cell in cells if cell.status == state] for state in states}
    return "; ".join(f"{state}: {', '.join(labels)}" for state, labels in named.items() if labels)


def _same_data(first: ReadCell, second: ReadCell) -> bool:
    if first.record is None or second.record is None or first.samples is None or second.samples is None:
        return False
    if first.record.dataset.sha256 != second.record.dataset.sha256:
        return False
    return all(first.samples[name].equals(second.samples[name]) for name in ("sample", "label"))


def _weights(cell: ReadCell) -> object:
    return cell.record.provenance.get("weights_sha256") if cell.record else None


def _facts(cells: Sequence[ReadCell]) -> dict[str, Any]:
    first = cells[0]
    records = [cell.record for cell in cells if cell.record]
    threat, protocol = _part(first, "threat"), _part(first, "protocol")
    text = records[0].threat.eps_text if records else str(threat.get("eps", ""))
    judged = [record.dataset.samples for record in records if record.status == "done"]
    n = judged[0] if judged else _part(first, "dataset").get("samples")
    random = [record.purifier.stochastic for record in records if record.purifier.stochastic is not None]
    draws = [record.protocol.draws for record in records if record.status == "done"]
    return {
        "dataset": first.label("dataset"),
        "backbone": first.label("backbone"),
        "purifier": first.label("purifier"),
        "norm": str(threat.get("norm", "?")),
        "eps": records[0].threat.eps if records else _number(text),
        "eps_text": text,
        "n": n if isinstance(n, int) else None,
        "stochastic": any(random) if random else None,
        "draws": max(draws) if draws else None,
        "decide": str(protocol.get("decide", "mean")),
        "verified": all(cell.verified for cell in cells),
        "cost_seconds": sum(record.cost.seconds for record in records) if records else None,
    }


def _accuracies_without_attack(cell: ReadCell) -> dict[str, Any]:
    assert cell.samples is not None
    clean, noise = cell.samples["clean"].to_numpy(), cell.samples["noise"].to_numpy()
    return {
        "standard_accuracy": float(clean.mean(dtype=np.float64)),
        "noise_accuracy": float(noise.mean(dtype=np.float64)),
    }


def _judged(cell: ReadCell) -> Judged:
    assert cell.samples is not None
    assert cell.record is not None
    attack = cell.record.attack
    scores = attack_scores(cell.samples)
    noise = np.asarray(cell.samples["noise"].to_numpy(), dtype=np.float64)
    return Judged(cell.label("attack"), attack.name, attack.gradient, scores, noise)


def _flags_of_records(cells: Sequence[ReadCell]) -> list[RowFlag]:
    return [
        RowFlag(flag.name, flag.value, flag.detail, cell.label("attack"))
        for cell in cells
        if cell.record
        for flag in cell.record.flags
        if flag.name != "few-samples"  # the row has it once
    ]


def _said(cell: ReadCell, name: FlagName) -> bool:
    return cell.record is not None and any(flag.name == name for flag in cell.record.flags)


def _weak_gradient(judged: Sequence[Judged], cells: Sequence[ReadCell]) -> RowFlag | None:
    records = [cell.record for cell in cells if cell.record]
    # Around the identity every gradient is the exact one.
    if all(record.purifier.name == "identity" for record in records):
        return None
    paths: list[str | None] = [rung.path for record in records for rung in record.rungs]
    # What asks for no gradient has a path in its record all the same, and a ladder has one beside those of its rungs.
    for one, record in zip(judged, records, strict=True):
        if one.kind not in ("noise", "black-box") and not record.rungs:
            paths.append(one.gradient)
    reached = any(record.audit.get("reaches_input") for record in records)
    dead = max((_share(record.audit.get("zero_gradient_share")) for record in records), default=1.0)
    return weak_gradient(paths, differentiable=reached and dead < DEAD)


def _share(found: object) -> float:
    return float(found) if isinstance(found, int | float) else 1.0


def _is_blind(cell: ReadCell) -> bool:
    used = cell.record.attack.gradient if cell.record else None
    return (used or _part(cell, "attack").get("gradient")) == "blind"


def _part(cell: ReadCell, name: str) -> dict[str, Any]:
    part = cell.document.get(name)
    return part if isinstance(part, dict) else {}


def _number(text: str) -> float | None:
    numerator, _, denominator = text.partition("/")
    try:
        return float(numerator) / float(denominator or 1)
    except (ValueError, ZeroDivisionError):
        return None
