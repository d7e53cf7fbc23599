"""Judging the stored examples of a row again: same images, same noise, the same verdicts, facts, flags and pictures, or a fault."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa

from rbench.backbones.told import told
from rbench.datasets.types import WARNED
from rbench.engine.defended import state_hash
from rbench.engine.setup import Setup, describe
from rbench.errors import CellFailed, InputError
from rbench.harmless import without_paths
from rbench.results import sample_columns as column
from rbench.results.flags.catalogue import threshold
from rbench.results.record import Record
from rbench.results.store import RunFolder
from rbench.running.components import Components
from rbench.running.prepare import Prepared, prepare
from rbench.running.record import used
from rbench.running.trained_on import data_told
from rbench.running.worker import KEPT_SIDE
from rbench.suite.cell import Cell
from rbench.verifying.again import Answer, Question, judge_row
from rbench.verifying.blame import blamed
from rbench.verifying.files import recent
from rbench.verifying.fresh import Ask
from rbench.verifying.reflag import flag_faults
from rbench.verifying.regallery import gallery_faults
from rbench.verifying.remeasured import attacked_faults, trust_faults

_FACTS = ("classes", "random", "reproducible", "not_logits", "reaches_input")


@dataclass(frozen=True)
class Recorded:
    """A done cell, as planned and as recorded.

    Attributes:
        cell: as the suite plans it today.
        record: as it was recorded.
        samples: its samples, known to fit the record.
    """

    cell: Cell
    record: Record
    samples: pa.Table

    @property
    def model(self) -> str:
        """What the defended model is called."""
        return f"{self.cell.purifier.label} on {self.cell.backbone.label}"


@dataclass(frozen=True)
class Rejudged:
    """What judging again has found.

    Attributes:
        faults: what does not fit the record, one line each.
        prepared: the audited cell, None if it could not be set up.
        examples: stored examples that were judged.
        near_ties: predictions that differ by rounding alone.
        largest_distance: of the stored examples, in float64.
        passes: images passed forward through the backbone.
        seconds: on a monotonic clock.
    """

    faults: tuple[str, ...]
    prepared: Prepared | None = None
    examples: int = 0
    near_ties: int = 0
    largest_distance: float = 0.0
    passes: int = 0
    seconds: float = 0.0


@dataclass
class Rejudge:
    """Judges rows of one run folder again; audits are shared, and each row is judged in a process of its own.

    Attributes:
        components: loaded models and data.
        folder: where the stored examples lie.
        batch_size: images at once.
        images: which examples the suite keeps, `store.images`.
    """

    components: Components
    folder: RunFolder
    batch_size: int
    images: str

    def __call__(self, row: list[Recorded], ask: Ask) -> list[Rejudged]:
        """Judge the done cells of a row again, in the process that is asked."""
        found = [_timed(one, partial(self._prepared, one)) for one in row]
        asked = [place for place, one in enumerate(found) if one.prepared and not one.faults]
        clock = time.monotonic()
        answers = self._asked([row[place] for place in asked], [found[place] for place in asked], ask)
        share = (time.monotonic() - clock) / max(1, len(asked))
        for place, answer in zip(asked, answers, strict=True):
            found[place] = replace(
                found[place],
                faults=answer.faults,
                examples=answer.examples,
                near_ties=answer.near_ties,
                largest_distance=answer.largest_distance,
                passes=answer.passes,
                seconds=found[place].seconds + share,
            )
            if answer.arrays:
                compared = partial(self._compared, row[place], found[place], answer)
                found[place] = replace(_timed(row[place], compared), prepared=found[place].prepared)
        return found

    def _prepared(self, one: Recorded) -> Rejudged:
        if faults := self._inputs(one.cell, one.record, one.samples):
            return Rejudged(tuple(faults))
        prepared = prepare(one.cell, self.components, self.batch_size)
        faults = [*_facts(prepared, one.record, one.cell), *_images_faults(prepared, one.record, self.images)]
        return Rejudged(tuple(faults), prepared)

    def _asked(self, row: list[Recorded], found: list[Rejudged], ask: Ask) -> list[Answer]:
        if not row:
            return []
        questions = [
            Question(one.cell, one.record.id, known.prepared.setup.measured)
            for one, known in zip(row, found, strict=True)
            if known.prepared
        ]
        root, device = self.folder.root.absolute(), str(self.components.device)
        try:
            answers: list[Answer] = ask(judge_row, root, device, self.batch_size, questions)
        except CellFailed as error:
            return [Answer((f"{row[0].model}: {error}",))] * len(row)
        return answers

    def _compared(self, one: Recorded, found: Rejudged, answer: Answer) -> Rejudged:
        """Flags and pictures, from what was judged again."""
        assert found.prepared is not None
        faults = [*answer.faults, *flag_faults(found.prepared.setup, one.record, one.samples, answer.arrays)]
        if recent(one.record):
            examples = self.folder.read_images(one.record.id)
            faults += gallery_faults(found.prepared, one.record.id, self.folder, examples)
            faults += attacked_faults(found.prepared, one.record, answer.arrays, examples)
        return replace(found, faults=tuple(faults))

    def _inputs(self, cell: Cell, record: Record, samples: pa.Table) -> list[str]:
        """Whether data and weights are those that were judged."""
        ids, dataset = samples[column.SAMPLE].to_numpy(), self.components.dataset(cell.dataset)
        try:
            known = self.components.chosen(cell.dataset, cell.slice)
        except InputError as error:
            return [str(error)]
        if not np.array_equal(known, ids):
            return ["samples: not those that the suite chooses"]
        if self.components.data_hash(cell.dataset, ids) != record.dataset.sha256:
            return ["dataset: images or labels are not those that were judged (dataset.sha256)"]
        if not np.array_equal(dataset.labels[ids], samples[column.LABEL].to_numpy()):
            return ["samples: labels are not those of the data set"]
        if faults := list(self._data(cell, record)):
            return faults
        model = self.components.defended(cell.backbone, cell.purifier, cell.dataset)
        if state_hash(model) != record.provenance.get("weights_sha256"):
            return ["weights: purifier or backbone are not those that were judged (provenance.weights_sha256)"]
        if record.backbone.told not in ((), told(model.backbone)):
            return ["backbone.told: not what is found when the backbone is loaded"]
        return []

    def _data(self, cell: Cell, record: Record) -> Iterator[str]:
        """What a record says of its data otherwise than they tell; their samples have been read."""
        said, part, piece = record.dataset, cell.dataset, cell.slice
        repeats, names = self.components.repeats(part, piece), self.components.dataset(part).class_names
        if said.duplicates != repeats:
            yield f"dataset.duplicates: {said.duplicates}, the slice has {repeats}"
        if said.class_names not in ((), tuple(" ".join(name.split()) for name in names)):
            yield "dataset.class_names: not those of the data set"
        if _lasting(said.told) != _lasting(data_told(cell, self.components)):
            yield "dataset.told: not what is found when the data are read"


def _lasting(told: Sequence[str]) -> list[str]:
    """Without what another version of a decoder may say otherwise."""
    return [" ".join(without_paths(line).split()) for line in told if not line.startswith(WARNED)]


def _timed(one: Recorded, step: Callable[[], Rejudged]) -> Rejudged:
    clock = time.monotonic()
    try:
        with blamed(one.model):
            found = step()
    except CellFailed as error:
        found = Rejudged((str(error),))
    return replace(found, seconds=found.seconds + time.monotonic() - clock)


def _facts(prepared: Prepared, record: Record, cell: Cell) -> Iterator[str]:
    """What the audit finds otherwise than it is recorded, and a choice of examples that is not the usual one."""
    setup: Setup = prepared.setup
    found, said, older = describe(setup), record.audit, not recent(record)
    for name in _FACTS:
        if said.get(name, found[name] if older else None) != found[name]:
            yield f"audit.{name}: {said.get(name)}, measured again {found[name]}"
    useless = threshold("weak-gradient", "zero")
    share = said.get("zero_gradient_share")
    if not (older and share is None) and (_number(share) < useless) != (found["zero_gradient_share"] < useless):
        yield f"audit.zero_gradient_share: {share}, measured again {found['zero_gradient_share']:.3g}"
    if not older:
        yield from trust_faults(said, found)
    if record.purifier.stochastic != setup.random:
        yield f"purifier.stochastic: {record.purifier.stochastic}, measured again {setup.random}"
    if record.dataset.classes not in (None, setup.audit.classes):
        yield f"dataset.classes: {record.dataset.classes}, the model tells {setup.audit.classes} apart"
    unsaid = record.attack.knows is None
    for name, value in used(cell, setup).items():
        if getattr(record.attack, name) != value and not (unsaid and name in ("knows", "steps")):
            yield f"attack.{name}: {getattr(record.attack, name)}, the suite gives {value}"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 1.0


def _images_faults(prepared: Prepared, record: Record, policy: str) -> list[str]:
    """Whether the examples that a record says are stored are those that `store.images` of the suite keeps of images of this size.

    Args:
        prepared: the cell.
        record: as it was recorded.
        policy: of the suite.
    """
    side = max(prepared.read(prepared.ids[:1]).x.shape[2:])
    usual = ("all" if side <= KEPT_SIDE else "fooled") if policy == "auto" else policy
    if record.images in (None, usual):
        return []
    return [
        f"images: '{record.images}' are stored, suite.yaml keeps '{usual}' (store.images: {policy}, {side} pixels a side)"
    ]
