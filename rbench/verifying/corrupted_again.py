"""Making the corrupted images of a row again and judging them in a process that has run nothing: the same verdicts, or a fault."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from rbench.errors import CellFailed
from rbench.results.corrupted_runs import CorruptedFolder
from rbench.results.corruption_record import CorruptionRecord, Judged
from rbench.results.corruption_rows import model_of
from rbench.results.hashes import file_hash
from rbench.results.runs import read_runs
from rbench.results.store import RunFolder
from rbench.results.verification import Verification
from rbench.results.versions import versions
from rbench.running.components import Components
from rbench.running.corrupted import images_of, judge_corrupted, shown
from rbench.running.prepare import Prepared, prepare
from rbench.suite.corruptions import CorruptedCell
from rbench.suite.plan import Plan
from rbench.verifying.again import DRIFT, nearly_tied
from rbench.verifying.blame import blamed
from rbench.verifying.corruptions import as_cell, held
from rbench.verifying.fresh import asked_afresh
from rbench.verifying.verdict import Verdict


@dataclass(frozen=True)
class Answer:
    """What judging a cell again has found.

    Attributes:
        faults: what does not fit the record, one line each.
        near_ties: predictions that differ by rounding alone.
        passes: images passed forward through the backbone.
        seconds: on a monotonic clock.
    """

    faults: tuple[str, ...]
    near_ties: int = 0
    passes: int = 0
    seconds: float = 0.0


def verify_corruptions(
    root: Path,
    plan: Plan,
    device: str,
    batch_size: int,
    on_verdict: Callable[[Verdict], None] = lambda verdict: None,
) -> list[Verdict]:
    """Verifies every done corruption of a run folder and keeps the evidence in it; takes `verified` back where a fault is found.

    Args:
        root: the run folder, locked by the caller.
        plan: of the suite beside the results, made today.
        device: where models live.
        batch_size: images at once.
        on_verdict: called with each verdict as it is reached.
    """
    read = read_runs([root]).corrupted
    rows: dict[str, list[int]] = defaultdict(list)
    found = held(read, plan)
    for place, (one, cell, faults, _, why) in enumerate(found):
        if cell is not None and not faults and not why:
            rows[model_of(one.document)].append(place)
    answers = dict[int, Answer]()
    for places in rows.values():
        questions = [(found[place][1], found[place][0].id) for place in places]
        try:
            said: Sequence[Answer] = asked_afresh(judge_again, root.absolute(), device, batch_size, questions)
        except CellFailed as error:
            said = [Answer((str(error),))] * len(places)
        answers |= dict(zip(places, said, strict=True))
    verdicts = []
    for place, (one, _, faults, notes, why) in enumerate(found):
        answer = answers.get(place)
        every = (*faults, *(answer.faults if answer else ()))
        evidence = None if every or answer is None or one.record is None else _evidence(root, one.record, answer)
        verdict = Verdict(as_cell(one), every, tuple(notes), evidence, unjudged="" if every else why)
        if evidence is not None:
            RunFolder(root).write_verification(evidence)
        elif not why:
            RunFolder(root).drop_verification(one.id)
        verdicts.append(verdict)
        on_verdict(verdict)
    return verdicts


def _evidence(root: Path, record: CorruptionRecord, answer: Answer) -> Verification | None:
    folder = CorruptedFolder(root)
    hashes = [file_hash(path(record.id)) for path in (folder.record_path, folder.samples_path)]
    if not all(hashes):
        return None
    pixels = hashlib.sha256("".join(part.images_sha256 for part in record.severities).encode()).hexdigest()
    return Verification(
        cell=record.id,
        record_sha256=str(hashes[0]),
        samples_sha256=str(hashes[1]),
        images_sha256=pixels,
        examples=record.dataset.samples * len(record.severities),
        near_ties=answer.near_ties,
        largest_distance=0.0,
        passes=answer.passes,
        seconds=round(answer.seconds, 3),
        provenance=versions(),
    )


def judge_again(
    root: Path, device: str, batch_size: int, questions: Sequence[tuple[CorruptedCell, str]]
) -> list[Answer]:
    """Judges the images of all corruptions of one defended model again.

    Args:
        root: the run folder.
        device: where the model lives.
        batch_size: images at once.
        questions: each cell as it is planned today, and the id under which its files lie.

    Returns:
        An answer for each.
    """
    folder, components = CorruptedFolder(root), Components(torch.device(device))
    prepared: Prepared | None = None
    answers = []
    for cell, recorded in questions:
        try:
            with blamed(cell.title):
                found = folder.read(recorded)
                if prepared is None:
                    prepared = prepare(cell.probe, components, batch_size)
                assert found is not None
                assert found[1] is not None
                answers.append(_answer(cell, found[0], found[1], prepared, components))
        except CellFailed as error:
            answers.append(Answer((str(error),)))
    return answers


def _answer(
    cell: CorruptedCell, record: CorruptionRecord, said: Judged, prepared: Prepared, components: Components
) -> Answer:
    if faults := tuple(_inputs(cell, record, said, prepared, components)):
        return Answer(faults)
    judged, images, cost = judge_corrupted(cell, prepared, components, lambda count: None)
    answer = Answer((), passes=cost.forwards, seconds=cost.seconds)
    apart = [part.severity for part, now in zip(record.severities, images, strict=True) if part.images_sha256 != now]
    if apart:
        return replace(answer, faults=(f"images: at severity {apart[0]} not those that were judged (images_sha256)",))
    audit = prepared.setup.audit
    if not audit.reproducible or audit.batch_dependent:
        return replace(answer, faults=tuple(_drifts(cell, said, judged)))
    wrong_answers, ties = list[str](), 0
    make = images_of(cell, components)
    for place, severity in enumerate(judged.severity):
        rows = np.flatnonzero((judged.predictions[:, place] != said.predictions[:, place]).any(axis=1))
        if len(rows):
            clean = prepared.read(prepared.ids[rows])
            tied = nearly_tied(prepared.setup, clean.of(shown(make(clean, severity), clean)), "score")
            ties += int(tied.sum())
            if len(wrong := rows[~tied]):
                more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
                wrong_answers.append(
                    f"sample {prepared.ids[wrong[0]]}{more}: at severity {severity} judged again, the defended model answers otherwise"
                )
    return replace(answer, faults=tuple(wrong_answers), near_ties=ties)


def _inputs(
    cell: CorruptedCell, record: CorruptionRecord, said: Judged, prepared: Prepared, components: Components
) -> Iterator[str]:
    """What was judged otherwise than the suite says: samples, data, weights, draws."""
    setup, ids = prepared.setup, prepared.ids
    if not np.array_equal(ids, said.ids):
        yield "samples: not those that the suite chooses"
        return
    if not np.array_equal(components.dataset(cell.dataset).labels[ids], said.labels):
        yield "samples: labels are not those of the data set"
    if components.data_hash(cell.dataset, ids) != record.dataset.sha256:
        yield "dataset: images or labels are not those that were judged (dataset.sha256)"
    if setup.weights != record.provenance.get("weights_sha256"):
        yield "weights: purifier or backbone are not those that were judged (provenance.weights_sha256)"
    if record.purifier.stochastic != setup.random or record.protocol.draws != setup.judge.draws:
        yield f"purifier.stochastic: {record.purifier.stochastic}, measured again {setup.random}"


def _drifts(cell: CorruptedCell, said: Judged, judged: Judged) -> Iterator[str]:
    """Of a model that answers otherwise each time, what is beyond a drift of its accuracy."""
    before, now = (one.values(cell.decide).mean(axis=0) for one in (said, judged))
    for severity, one, other in zip(judged.severity, before, now, strict=True):
        if abs(one - other) > DRIFT:
            yield f"severity {severity}: {100 * one:.1f} % recorded, judged again {100 * other:.1f} %"
