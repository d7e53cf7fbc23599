"""What was run for a row of the leaderboard, and what keeps it from having a number."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rbench.results import sample_columns as column
from rbench.results.flags.catalogue import threshold
from rbench.results.runs import ReadCell
from rbench.results.samples import numbers, predictions

NEAR_TIES = 0.001
"""Share of the predictions without an attack that rounding may turn between two cells, which may have run in batches of other sizes."""
DRIFT = 0.05
"""What standard accuracy may differ by where single predictions cannot be compared, since the same noise or another batch gives other
logits."""


def facts_of(cells: Sequence[ReadCell], done: Sequence[ReadCell]) -> dict[str, Any]:
    """The columns of the leaderboard that say what was run, and whether it is done.

    Args:
        cells: of the row.
        done: those of them that are done.
    """
    first = cells[0]
    records = [cell.record for cell in cells if cell.record]
    threat, protocol = first.part("threat"), first.part("protocol")
    text = records[0].threat.eps_text if records else str(threat.get("eps", ""))
    judged = [cell.record for cell in done if cell.record]
    n = judged[0].dataset.samples if judged else first.part("dataset").get("samples")
    random = [record.purifier.stochastic for record in records if record.purifier.stochastic is not None]
    return {
        "dataset": first.label("dataset"),
        "backbone": first.label("backbone"),
        "purifier": first.label("purifier"),
        "norm": str(threat.get("norm", "?")),
        "eps": records[0].threat.eps if records else _number(text),
        "eps_text": text,
        "n": n if isinstance(n, int) else None,
        "stochastic": any(random) if random else None,
        "draws": max((record.protocol.draws for record in judged), default=None),
        "decide": str(protocol.get("decide", "mean")),
        "judge": str(first.document.get("judge", "?")),
        "verified": all(cell.verified for cell in cells),
        "cost_seconds": sum(record.cost.seconds for record in records) if records else None,
        "status": mixed(done) or _unfinished(cells) or "done",
    }


def mixed(done: Sequence[ReadCell]) -> str:
    """Which attacks were not judged on the same data, weights or model, by what it says of clean images; empty if all were."""
    for cell in done[1:]:
        if not _same_data(done[0], cell):
            return f"mixed: {done[0].label('attack')} and {cell.label('attack')} were judged on different data"
        if _weights(done[0]) != _weights(cell):
            return f"mixed: {done[0].label('attack')} and {cell.label('attack')} were run on different weights"
        if not _same_without_attack(done[0], cell):
            return (
                f"mixed: {done[0].label('attack')} and {cell.label('attack')} met other predictions without an attack"
            )
    return ""


def _unfinished(cells: Sequence[ReadCell]) -> str:
    """Which attacks have no result, by why; empty if all have."""
    states = ("failed", "cancelled", "unreadable", "missing")
    named = {state: [cell.label("attack") for cell in cells if cell.status == state] for state in states}
    return "; ".join(f"{state}: {', '.join(labels)}" for state, labels in named.items() if labels)


def _same_data(first: ReadCell, second: ReadCell) -> bool:
    if first.record is None or second.record is None or first.samples is None or second.samples is None:
        return False
    if first.record.dataset.sha256 != second.record.dataset.sha256:
        return False
    return all(first.samples[name].equals(second.samples[name]) for name in (column.SAMPLE, column.LABEL))


def _same_without_attack(first: ReadCell, second: ReadCell) -> bool:
    """Whether the defended models of two cells say the same of the clean images."""
    if first.samples is None or second.samples is None:
        return False
    tables = (first.samples, second.samples)
    if _comparable(first) and _comparable(second):
        here, there = (predictions(samples, column.CLEAN_PREDICTIONS) for samples in tables)
        return here.shape == there.shape and bool((here != there).mean() <= NEAR_TIES)
    accuracies = [float(np.mean(numbers(samples, column.CLEAN), dtype=np.float64)) for samples in tables]
    return abs(accuracies[0] - accuracies[1]) <= DRIFT + 1e-9


def _comparable(cell: ReadCell) -> bool:
    """Whether the same noise gives the same logits in any batch, so that single predictions can be compared."""
    if cell.record is None:
        return False
    audit, flags = cell.record.audit, {flag.name for flag in cell.record.flags}
    differs = audit.get("batch_difference")
    batched = isinstance(differs, int | float) and differs > threshold("batch-dependent", "difference")
    alone = audit.get("reproducible") is not False and not audit.get("global_generator")
    return alone and not batched and flags.isdisjoint({"not-reproducible", "batch-dependent"})


def _weights(cell: ReadCell) -> object:
    return cell.record.provenance.get("weights_sha256") if cell.record else None


def _number(text: str) -> float | None:
    numerator, _, denominator = text.partition("/")
    try:
        return float(numerator) / float(denominator or 1)
    except (ValueError, ZeroDivisionError):
        return None
