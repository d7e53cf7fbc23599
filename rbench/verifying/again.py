"""Judging the stored examples of a row again, in a process that has shown its model nothing: the attacked images before the clean ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from rbench.engine.audited_images import SAMPLES
from rbench.engine.audits import Audits, Measurements
from rbench.engine.evaluation import judge_proposals
from rbench.engine.setup import Setup, refuse_changed, set_up
from rbench.engine.unattacked import noisy
from rbench.errors import CellFailed
from rbench.results import sample_columns as column
from rbench.results.decide import decided
from rbench.results.store import RunFolder
from rbench.running.components import Components, Loaded, make, read_batch
from rbench.running.prepare import Prepared, protocol_of
from rbench.suite.cell import Cell, Decide
from rbench.threat.attack import ExternalAttack, IterativeAttack
from rbench.threat.batch import Batch
from rbench.threat.noise import Role
from rbench.verifying.blame import blamed
from rbench.verifying.files import arrays_of

NEAR_TIE = 1e-3
"""Two logits closer than this share of the largest one may change places by the rounding of another machine or batch size."""
DRIFT = 0.05
"""What accuracy may differ by where the same noise, or another batch, does not give the same logits."""
ONCE_MORE = 32
"""Examples that are judged again at the end: whoever remembers what it was shown answers more than a few of them otherwise."""


@dataclass(frozen=True)
class Question:
    """A done cell to be judged again.

    Attributes:
        cell: as the suite plans it today.
        recorded: id under which its files lie.
        measured: of its defended model, in another process.
    """

    cell: Cell
    recorded: str
    measured: Measurements


@dataclass(frozen=True)
class Answer:
    """What judging a cell again has found.

    Attributes:
        faults: what does not fit the record, one line each.
        arrays: the columns of predictions, those of now in the place of those that were stored.
        examples: stored examples that were judged.
        near_ties: predictions that differ by rounding alone.
        largest_distance: of the stored examples, in float64.
        passes: images passed forward through the backbone.
    """

    faults: tuple[str, ...]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    examples: int = 0
    near_ties: int = 0
    largest_distance: float = 0.0
    passes: int = 0


class _Known(Audits):
    """Tells what another process has measured, so that this one asks the model nothing before it judges."""

    def __init__(self, question: Question) -> None:
        super().__init__()
        self._told = question.measured

    def of(self, *_: Any, **__: Any) -> Measurements:
        """What was told."""
        return self._told


def judge_row(root: Path, device: str, batch_size: int, questions: Sequence[Question]) -> list[Answer]:
    """Judges the stored examples of all cells of a row, last samples first, then the images without an attack.

    Args:
        root: the run folder.
        device: where the model lives.
        batch_size: images at once.
        questions: the done cells of the row.

    Returns:
        An answer for each.
    """
    folder, components = RunFolder(root), Components(torch.device(device))
    cells = [_Cell(question, folder, components, batch_size) for question in questions]
    for step in (_Cell.load, _Cell.examples, _Cell.unattacked, _Cell.once_more):
        for cell in cells:
            cell.take(step)
    return [cell.answer() for cell in cells]


class _Cell:
    """One cell on its way through the steps of `judge_row`; ends at its first failure."""

    def __init__(self, question: Question, folder: RunFolder, components: Components, batch_size: int) -> None:
        self.question, self.folder, self.components, self.batch_size = question, folder, components, batch_size
        self.failed: str | None = None
        self.passes = 0
        self.again: Again | None = None

    def take(self, step: Any) -> None:
        if self.failed is not None:
            return
        cell = self.question.cell
        try:
            with blamed(f"{cell.purifier.label} on {cell.backbone.label}"):
                step(self)
        except CellFailed as error:
            self.failed = str(error)

    def load(self) -> None:
        cell = self.question.cell
        record = self.folder.read_record(self.question.recorded)
        assert record is not None
        self.images, self.stored = self.folder.read_images(record.id)
        loaded = self.components.of(cell)
        ids = self.components.chosen(cell.dataset, cell.slice)
        self.prepared = Prepared(loaded, _told_setup(self.question, loaded, ids, self.batch_size), ids)
        self.again = Again(self.prepared.setup, self.folder.read_samples(record))
        self.batches = [ids[start : start + self.batch_size] for start in range(0, len(ids), self.batch_size)][::-1]
        self.rows = {int(sample): row for row, sample in enumerate(ids)}
        self.place = {int(sample): place for place, sample in enumerate(self.stored)}

    def examples(self) -> None:
        for part in self.batches:
            self._judged(part)

    def _judged(self, part: np.ndarray) -> None:
        kept = part[np.isin(part, self.stored)][::-1]
        if len(kept):
            assert self.again is not None
            before = self.prepared.setup.model.meter.forwards
            clean = self.prepared.read(kept)
            images = torch.from_numpy(self.images[[self.place[int(one)] for one in kept]]).to(clean.device)
            self.again.examples(self._rows(kept), images, clean)
            self.passes += self.prepared.setup.model.meter.forwards - before

    def unattacked(self) -> None:
        assert self.again is not None
        for part in self.batches:
            before = self.prepared.setup.model.meter.forwards
            clean, setup = self.prepared.read(part[::-1].copy()), self.prepared.setup
            self.again.clean(self._rows(part[::-1]), clean, setup.unattacked.of(setup.judge, clean))
            self.passes += self.prepared.setup.model.meter.forwards - before

    def once_more(self) -> None:
        """The first examples again, now that the model has seen the clean images: it must have remembered nothing."""
        assert self.again is not None
        known, ties = len(self.again.faults), self.again.near_ties
        self._judged(self.batches[0][-ONCE_MORE:])
        self.again.near_ties = ties
        if len(self.again.faults) > known:
            new = self.again.faults[known:]
            self.again.faults[known:] = [f"{fault}, once it has seen the clean images" for fault in new]
        refuse_changed(self.prepared.setup)

    def _rows(self, samples: np.ndarray) -> np.ndarray:
        return np.asarray([self.rows[int(one)] for one in samples])

    def answer(self) -> Answer:
        if self.again is None or self.failed is not None:
            known = () if self.again is None else tuple(self.again.faults)
            return Answer((*known, *([] if self.failed is None else [self.failed])), passes=self.passes)
        again = self.again
        found = dict.fromkeys(again.conclusion())
        return Answer(tuple(found), again.arrays, len(self.stored), again.near_ties, again.largest, self.passes)


def _told_setup(question: Question, loaded: Loaded, ids: np.ndarray, batch_size: int) -> Setup:
    """The cell ready to be judged, without a question to its model; of its attack nothing is needed but the rounding it may leave."""
    attack = loaded.attack
    if not isinstance(attack, IterativeAttack | ExternalAttack):  # a ladder would ask the model which rungs to take
        attack = make("attack", "noise")
    first = read_batch(loaded.dataset, ids[:SAMPLES], loaded.device)
    protocol = protocol_of(question.cell, batch_size)
    shared = _Known(question), loaded.unattacked
    return set_up(loaded.model, attack, protocol, first, loaded.source, loaded.stand_in, *shared)


class Again:
    """What the judge says now, beside what the samples say.

    Attributes:
        setup: of the cell.
        samples: as stored.
        arrays: the verdicts, those of now in the place of those that were stored.
    """

    def __init__(self, setup: Setup, samples: pa.Table) -> None:
        self.setup, self.samples = setup, samples
        self.faults: list[str] = []
        self.near_ties = 0
        self.largest = 0.0
        self._means: dict[str, list[tuple[float, float, int]]] = {}
        self.said = arrays_of(samples)
        self.arrays = {name: array.copy() for name, array in self.said.items()}
        self.label = self.arrays[column.LABEL]

    def clean(self, rows: np.ndarray, clean: Batch, judged: dict[str, Tensor]) -> None:
        """Takes in the verdicts on some samples without an attack."""
        noise = clean.of(noisy(self.setup.judge, clean))
        self._take(rows, column.CLEAN_SELECT, judged, clean, "select")
        self._take(rows, column.CLEAN, judged, clean, "score")
        self._take(rows, column.NOISE_SELECT, judged, noise, "select")
        self._take(rows, column.NOISE, judged, noise, "score")

    def examples(self, rows: np.ndarray, images: Tensor, clean: Batch) -> None:
        """Takes in the verdicts on stored examples; refuses those outside the ball."""
        judged = judge_proposals(self.setup, images, clean)
        moved = judged[column.DISTANCE].cpu().numpy()
        self.largest = max(self.largest, float(moved.max()))
        said = self.samples[column.DISTANCE].to_numpy()[rows]
        wrong = ~np.isclose(moved, said, rtol=1e-9, atol=1e-12)
        self._fault(rows[wrong], f"distance: {said[wrong][:1]} recorded, measured again {moved[wrong][:1]}")
        shown, rounded = clean.of(images), clean.of(self.setup.judge.ball.eight_bits(images, clean.x))
        self._take(rows, column.SELECT, judged, shown, "select")
        self._take(rows, column.ROBUST, judged, shown, "score")
        self._take(rows, column.ROBUST_8BIT_SELECT, judged, rounded, "select")
        self._take(rows, column.ROBUST_8BIT, judged, rounded, "score")

    def _take(self, rows: np.ndarray, name: str, judged: dict[str, Tensor], shown: Batch, role: Role) -> None:
        draws = {**column.DRAWS_OF, **column.SELECT_DRAWS_OF}[name]
        decide: Decide = "mean" if name in column.SELECT_DRAWS_OF else self.setup.protocol.decide
        now = judged[draws].cpu().numpy()
        values = self.samples[name].to_numpy(zero_copy_only=False)[rows].astype(np.float64)
        if draws in self.said:
            differ = (self.said[draws][rows] != now).any(axis=1)
            self.arrays[draws][rows] = now
        else:
            differ = ~np.isnan(values) & (values != decided(now, self.label[rows], decide))
        if not self._exact:
            self._means.setdefault(name, []).append(
                (float(np.nansum(values)), float(decided(now, self.label[rows], decide).sum()), len(rows))
            )
        elif differ.any():
            where = torch.from_numpy(np.flatnonzero(differ)).to(shown.device)
            close = nearly_tied(self.setup, shown.at(where), role)
            self.near_ties += int(close.sum())
            self._fault(rows[differ][~close], f"{name}: judged again, the defended model answers otherwise")

    @property
    def _exact(self) -> bool:
        return self.setup.audit.reproducible and not self.setup.audit.batch_dependent

    def _fault(self, rows: np.ndarray, what: str) -> None:
        if len(rows):
            more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
            self.faults.append(f"sample {self.arrays[column.SAMPLE][rows.min()]}{more}: {what}")

    def conclusion(self) -> list[str]:
        """The faults; of a model that answers otherwise each time, what is beyond a drift of its accuracy."""
        drifts = []
        for name, sums in self._means.items():
            said, now, count = (sum(part) for part in zip(*sums, strict=True))
            if abs(said - now) > DRIFT * count:
                drifts.append(f"{name}: {100 * said / count:.1f} % recorded, judged again {100 * now / count:.1f} %")
        return [*self.faults, *drifts]


def nearly_tied(setup: Setup, shown: Batch, role: Role) -> np.ndarray:
    """Whether the two largest logits are as good as equal on some draw, bool [N]: another machine may order them otherwise.

    Args:
        setup: the audited cell.
        shown: N images as they were judged.
        role: of the draws that they were judged on.
    """
    judge = setup.judge
    count = judge.select_draws if role == "select" else judge.draws
    logits = judge.logits(shown.x, shown, role, torch.arange(count, device=shown.device))
    first, second = logits.topk(2, dim=2).values.unbind(2)
    tied: np.ndarray = (first - second <= NEAR_TIE * logits.abs().amax(2)).any(1).cpu().numpy()
    return tied
