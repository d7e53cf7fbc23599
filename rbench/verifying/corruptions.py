"""What the files of a corruption say against each other and against the suite; no model, no torch."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rbench.results.corrupted_runs import ReadCorrupted
from rbench.results.corruption_record import CorruptionRecord, Judged, figure
from rbench.results.corruption_rows import model_of
from rbench.results.record import Figure
from rbench.results.runs import ReadCell
from rbench.suite.cell import id_of, lasting
from rbench.suite.corruptions import CorruptedCell
from rbench.suite.plan import Plan
from rbench.verifying.planned import differences, older

_ROUNDING = 1e-9
_PARTS = ("dataset", "backbone", "purifier", "threat")


def as_cell(read: ReadCorrupted) -> ReadCell:
    """The same as verdicts name cells; without a record of an attack."""
    return ReadCell(
        read.id, read.document, "done" if read.status == "done" else "missing", read.root, verified=read.verified
    )


def contradictions(read: ReadCorrupted) -> list[str]:
    """Everything in the files of a done cell that does not fit the rest, one line each; empty if they agree."""
    record, judged = read.record, read.judged
    assert record is not None
    assert judged is not None
    return [*_cell(record, read.document), *_figures(record, judged)]


def _cell(record: CorruptionRecord, planned: Mapping[str, Any]) -> Iterator[str]:
    said = dict(record.cell)
    if said != dict(planned):
        yield "cell: not as corruptions.jsonl has it"
    content = {key: value for key, value in said.items() if key not in ("id", "labels")}
    if id_of(content) != record.id:
        yield f"cell.id: {record.id}, its content has {id_of(content)}"
    protocol = content["protocol"]
    assert isinstance(protocol, dict)
    for name in ("decide", "seed"):
        if getattr(record.protocol, name) != protocol.get(name):
            yield f"protocol.{name}: {getattr(record.protocol, name)}, the cell has {protocol.get(name)}"
    draws = protocol.get("draws") if record.purifier.stochastic else 1
    if record.protocol.draws != draws:
        yield f"protocol.draws: {record.protocol.draws}, such a defence has {draws}"


def _figures(record: CorruptionRecord, judged: Judged) -> Iterator[str]:
    values = judged.values(record.protocol.decide)
    for place, part in enumerate(record.severities):
        yield from _differ(f"severities[{place}].accuracy", part.accuracy, figure(values[:, place]))
    if record.mean_accuracy is not None:
        yield from _differ("mean_accuracy", record.mean_accuracy, figure(values.mean(axis=1)))
    if judged.hash() != record.result_hash:
        yield "result_hash: not that of the samples"


def _differ(name: str, said: Figure, found: Figure) -> Iterator[str]:
    for field in ("value", "low", "high", "n"):
        here, there = getattr(said, field), getattr(found, field)
        if abs(here - there) > _ROUNDING:
            yield f"{name}.{field}: {here:.6g}, the samples give {there:.6g}"


def asked_of(read: Sequence[ReadCorrupted], plan: Plan) -> dict[str, tuple[CorruptedCell | None, list[str], list[str]]]:
    """What the suite, planned today, says of each cell by its id: the cell that it is, faults and notes.

    A planned corruption of which there is no line in `corruptions.jsonl` was taken out: the mean shown is over fewer than were planned.

    Args:
        read: the corruptions of the folder.
        plan: the suite.
    """
    planned = {_work(cell.document()): cell for cell in plan.corrupted}
    here = {cell.id: planned.get(_work(cell.document)) for cell in read}
    there = {cell.id for cell in here.values() if cell is not None}
    lacking: dict[str, list[str]] = defaultdict(list)
    for wanted in plan.corrupted:
        if wanted.id not in there:
            lacking[model_of(lasting(wanted.document()))].append(wanted.corruption.name)
    asked: dict[str, tuple[CorruptedCell | None, list[str], list[str]]] = {}
    for one in read:
        cell = here[one.id]
        if cell is None:
            asked[one.id] = (None, ["suite.yaml beside the results does not ask for this cell"], list[str]())
            continue
        faults, notes = differences(one.document, cell.document(), _PARTS)
        if one.document.get("labels") != cell.labelled()["labels"]:
            faults.append("labels: not those of suite.yaml")
        if missing := lacking.get(model_of(lasting(one.document))):
            faults.append(f"row: suite.yaml plans {', '.join(missing)}, of which there is no line in corruptions.jsonl")
        asked[one.id] = (cell, faults, notes)
    return asked


def _work(document: Mapping[str, Any]) -> str:
    return json.dumps(lasting(document), sort_keys=True)


def held(
    read: Sequence[ReadCorrupted], plan: Plan | None
) -> list[tuple[ReadCorrupted, CorruptedCell | None, list[str], list[str], str]]:
    """Each done cell with the one that is planned today, faults, notes, and why it cannot be judged again (empty if it can).

    Args:
        read: the corruptions of a folder.
        plan: its suite, planned today; None where it cannot be planned here.
    """
    asked = {} if plan is None else asked_of(read, plan)
    found = []
    for one in read:
        if one.status != "done":
            continue
        cell, faults, notes = asked.get(one.id, (None, [], []))
        why = older(one.document)
        found.append((one, cell, [*contradictions(one), *([] if why else faults)], notes, why))
    return found
