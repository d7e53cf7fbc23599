"""One row of the leaderboard, from the cells of one defended model under one threat: what was run, what came out, what is doubtful."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rbench.results import sample_columns as column
from rbench.results.attacker import asks_outputs, attacker_of
from rbench.results.flags.catalogue import FlagName, threshold
from rbench.results.flags.gradient_trust import distrusted, of_its_batch
from rbench.results.flags.of_row import (
    Judged,
    RowFlag,
    blind_wins,
    few_samples,
    flags_of_cells,
    provisional,
    unverified,
    weak_gradient,
)
from rbench.results.record import Record
from rbench.results.row_facts import facts_of, mixed
from rbench.results.runs import ReadCell
from rbench.results.samples import numbers
from rbench.results.worst_case import Rule, Values, attack_scores, unattacked_scores


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
    done = [cell for cell in cells if cell.status == "done"]
    facts = facts_of(cells, done)
    compared = None if mixed(done) or not done else _compared(done, facts)
    values, outcome = _values(cells, done, compared)
    doubts = _doubts(cells, done, compared if outcome is not None else None)
    return Row(cells, facts | values, doubts, outcome, next((c.record.dataset.sha256 for c in done if c.record), None))


# --- what came out ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Compared:
    """The done cells of a row that were judged on the same data and weights, and the rule of their worst case."""

    cells: tuple[Judged, ...]
    rule: Rule


def _compared(done: Sequence[ReadCell], facts: dict[str, Any]) -> _Compared:
    random = bool(facts["stochastic"]) or facts["draws"] > 1
    unattacked = unattacked_scores(done[0].samples, random=random, decide=facts["decide"])
    judged = tuple(_judged(cell, random=random) for cell in done)
    return _Compared(judged, Rule(random, facts["decide"], unattacked))


def _judged(cell: ReadCell, *, random: bool) -> Judged:
    assert cell.samples is not None
    assert cell.record is not None
    noise = np.asarray(numbers(cell.samples, column.NOISE), dtype=np.float64)
    scores = attack_scores(cell.samples, random=random)
    return Judged(
        cell.label("attack"), *attacker_of(cell.record), cell.record.attack.gradient, scores, noise, cell.cascaded
    )


def _values(
    cells: Sequence[ReadCell], done: Sequence[ReadCell], compared: _Compared | None
) -> tuple[dict[str, Any], Values | None]:
    """The accuracies that the done cells allow, and the value [n] of each sample in the worst case; None while the row is blocked."""
    values = _accuracies_without_attack(done[0]) if done else {}
    if compared is None:
        return values, None
    judged, rule = compared.cells, compared.rule
    blind = [cell for cell in cells if _is_blind(cell)]
    if blind and all(cell.status == "done" for cell in blind):
        scores = [one.scores for one, cell in zip(judged, done, strict=True) if _is_blind(cell)]
        values["blind_robust_accuracy"] = rule.worst(scores).accuracy()
    if len(done) < len(cells):
        return values, None
    worst = rule.worst([one.scores for one in judged])
    estimate = worst.estimate()
    strongest = min(judged, key=lambda one: float((one.scores.select if rule.random else one.scores.value).mean()))
    values |= {
        "robust_accuracy": estimate.value,
        "robust_low": estimate.low,
        "robust_high": estimate.high,
        "strongest_attack": strongest.label,
        "gradient": strongest.gradient,
    }
    return values, worst.value


def _accuracies_without_attack(cell: ReadCell) -> dict[str, Any]:
    assert cell.samples is not None
    clean, noise = numbers(cell.samples, column.CLEAN), numbers(cell.samples, column.NOISE)
    return {
        "standard_accuracy": float(clean.mean(dtype=np.float64)),
        "noise_accuracy": float(noise.mean(dtype=np.float64)),
    }


def _is_blind(cell: ReadCell) -> bool:
    used = cell.record.attack.gradient if cell.record else None
    return (used or cell.part("attack").get("gradient")) == "blind"


# --- what is doubtful ---------------------------------------------------------------------------------------------


def _doubts(cells: Sequence[ReadCell], done: Sequence[ReadCell], compared: _Compared | None) -> list[RowFlag]:
    """The flags of the records, and those of the row; `compared` is None while the row is blocked."""
    doubts: list[RowFlag | None] = [*_flags_of_records(cells)]
    if done:
        assert done[0].record is not None
        doubts.append(few_samples(done[0].record.dataset.samples))
        doubts.append(unverified([c.label("attack") for c in done if not c.verified and not _said(c, "unverified")]))
    if compared is not None:
        doubts += [*flags_of_cells(compared.cells, compared.rule), _provisional(done)]
        # Around the identity every gradient is the exact one, and no attack is blind.
        if any(cell.record and cell.record.purifier.name != "identity" for cell in done):
            doubts += [blind_wins(compared.cells, compared.rule), _weak_gradient(compared.cells, done)]
    return [doubt for doubt in doubts if doubt is not None]


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


def _weak_gradient(judged: Sequence[Judged], done: Sequence[ReadCell]) -> RowFlag | None:
    records = [cell.record for cell in done if cell.record]
    paths: list[str | None] = [rung.path for record in records for rung in record.rungs]
    # What asks for no gradient has a path in its record all the same, and a ladder has one beside those of its rungs.
    for one, record in zip(judged, records, strict=True):
        if one.knows not in ("noise", "black-box") and not record.rungs:
            paths.append(one.gradient)
    reached = any(record.audit.get("reaches_input") for record in records)
    dead = max((_useless(record) for record in records), default=1.0)
    return weak_gradient(paths, differentiable=reached and dead < threshold("weak-gradient", "zero"))


def _useless(record: Record) -> float:
    """Share of the audited samples with a gradient that is zero or not finite; older records have only that of zero."""
    found = record.audit.get("useless_gradient_share", record.audit.get("zero_gradient_share"))
    return float(found) if isinstance(found, int | float) else 1.0


def _provisional(done: Sequence[ReadCell]) -> RowFlag | None:
    records = [cell.record for cell in done if cell.record]
    reasons = [reason for record in records if (reason := _misled(record))]
    batch = next((why for record in records if (why := of_its_batch(record.audit))), None)
    return provisional(reasons, black_box=any(map(asks_outputs, records)), batch=batch)


def _misled(record: Record) -> str | None:
    """Why the gradients of a cell are not to be trusted: by what was measured before the attack, or by what was seen during it."""
    if reason := distrusted(record.audit):
        return reason
    for flag in record.flags:
        if flag.name in ("wrong-gradient", "no-gradient-path"):
            return f"{record.attack.label} has the flag {flag.name}"
        if flag.name == "zero-gradients" and (flag.value or 0.0) >= threshold("provisional", "share"):
            return f"{record.attack.label} met gradients of zero"
    return None
