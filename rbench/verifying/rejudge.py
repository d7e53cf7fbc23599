"""Judging the stored examples of a cell again: same images, same noise, the same verdicts or a fault."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from rbench.engine.defended import state_hash
from rbench.engine.evaluation import judge_proposals
from rbench.engine.setup import Setup, describe
from rbench.engine.unattacked import noisy
from rbench.errors import CellFailed, InputError
from rbench.results import sample_columns as column
from rbench.results.decide import decided
from rbench.results.record import Record
from rbench.results.store import RunFolder
from rbench.running.components import Components, order
from rbench.running.prepare import Prepared, prepare
from rbench.running.record import used
from rbench.suite.cell import Cell, Decide
from rbench.threat.batch import Batch
from rbench.threat.noise import Role
from rbench.verifying.files import arrays_of
from rbench.verifying.reflag import flag_faults
from rbench.verifying.regallery import gallery_faults

NEAR_TIE = 1e-3
"""Two logits closer than this share of the largest one may change places by the rounding of another machine or batch size."""
DRIFT = 0.05
"""What accuracy may differ by where the same noise, or another batch, does not give the same logits."""
_FACTS = ("classes", "random", "reproducible", "not_logits", "reaches_input")


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
    """Judges cells of one run folder again; what cells share (clean images, audits) is judged once.

    Attributes:
        components: loaded models and data.
        folder: where the stored examples lie.
        batch_size: images at once.
    """

    components: Components
    folder: RunFolder
    batch_size: int

    def __call__(self, cell: Cell, record: Record, samples: pa.Table) -> Rejudged:
        """Judge a done cell again.

        Args:
            cell: as the suite plans it today.
            record: as it was recorded.
            samples: its samples, known to fit the record.
        """
        clock = time.monotonic()
        try:
            judged = self._judge(cell, record, samples)
        except CellFailed as error:
            judged = Rejudged((str(error),))
        passes = judged.prepared.setup.model.meter.forwards if judged.prepared else 0
        return replace(judged, passes=passes, seconds=time.monotonic() - clock)

    def _judge(self, cell: Cell, record: Record, samples: pa.Table) -> Rejudged:
        if faults := self._inputs(cell, record, samples):
            return Rejudged(tuple(faults))
        prepared = prepare(cell, self.components, self.batch_size)
        setup, ids = prepared.setup, prepared.ids
        if faults := list(_facts(setup, record, cell)):
            return Rejudged(tuple(faults), prepared)
        images, stored = self.folder.read_images(record.id)
        again = _Again(setup, samples)
        for start in range(0, len(ids), self.batch_size):
            part = ids[start : start + self.batch_size]
            clean = prepared.read(part)
            again.clean(start, clean, setup.unattacked.of(setup.judge, clean))
            kept = np.isin(part, stored)
            if kept.any():
                examples = torch.from_numpy(images[np.isin(stored, part)]).to(clean.device)
                rows = torch.from_numpy(kept).to(clean.device)
                again.examples(start + np.flatnonzero(kept), examples, clean.at(rows))
        again.faults += flag_faults(setup, record, samples, again.arrays)
        again.faults += gallery_faults(prepared, cell.id, self.folder, (images, stored))
        return Rejudged(tuple(again.conclusion()), prepared, len(stored), again.near_ties, again.largest)

    def _inputs(self, cell: Cell, record: Record, samples: pa.Table) -> list[str]:
        """Whether data and weights are those that were judged."""
        ids, dataset = samples[column.SAMPLE].to_numpy(), self.components.dataset(cell.dataset)
        try:
            known = order(dataset, cell.slice)
        except InputError as error:
            return [str(error)]
        if not np.array_equal(known, ids):
            return ["samples: not those that the suite chooses"]
        if self.components.data_hash(cell.dataset, ids) != record.dataset.sha256:
            return ["dataset: images or labels are not those that were judged (dataset.sha256)"]
        if not np.array_equal(dataset.labels[ids], samples[column.LABEL].to_numpy()):
            return ["samples: labels are not those of the data set"]
        if state_hash(self.components.defended(cell.backbone, cell.purifier)) != record.provenance.get(
            "weights_sha256"
        ):
            return ["weights: purifier or backbone are not those that were judged (provenance.weights_sha256)"]
        return []


def _facts(setup: Setup, record: Record, cell: Cell) -> Iterator[str]:
    """What the audit finds otherwise than it is recorded."""
    found, said = describe(setup), record.audit
    for name in _FACTS:
        if name in said and said[name] != found[name]:
            yield f"audit.{name}: {said[name]}, measured again {found[name]}"
    if record.purifier.stochastic != setup.random:
        yield f"purifier.stochastic: {record.purifier.stochastic}, measured again {setup.random}"
    older = record.attack.knows is None
    for name, value in used(cell, setup).items():
        if getattr(record.attack, name) != value and not (older and name in ("knows", "steps")):
            yield f"attack.{name}: {getattr(record.attack, name)}, the suite gives {value}"


@dataclass
class _Again:
    """What the judge says now, beside what the samples say.

    Attributes:
        setup: of the cell.
        samples: as stored.
        arrays: the verdicts, those of now in the place of those that were stored.
    """

    setup: Setup
    samples: pa.Table
    faults: list[str] = field(default_factory=list)
    near_ties: int = 0
    largest: float = 0.0
    _means: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.arrays = arrays_of(self.samples)
        self.label = self.arrays[column.LABEL]

    def clean(self, start: int, clean: Batch, judged: dict[str, Tensor]) -> None:
        """Takes in the verdicts on a batch, from row `start` on, without an attack."""
        rows = np.arange(start, start + len(clean))
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
        if draws in self.arrays:
            differ = (self.arrays[draws][rows] != now).any(axis=1)
            self.arrays[draws][rows] = now
        else:
            differ = ~np.isnan(values) & (values != decided(now, self.label[rows], decide))
        if not self._exact:
            self._means.setdefault(name, []).append(
                (float(np.nansum(values)), float(decided(now, self.label[rows], decide).sum()))
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
            self.faults.append(f"sample {self.arrays[column.SAMPLE][rows[0]]}{more}: {what}")

    def conclusion(self) -> list[str]:
        """The faults; of a model that answers otherwise each time, what is beyond a drift of its accuracy."""
        drifts = []
        for name, sums in self._means.items():
            said, now = (sum(pair) / len(self.label) for pair in zip(*sums, strict=True))
            if abs(said - now) > DRIFT:
                drifts.append(f"{name}: {100 * said:.1f} % recorded, judged again {100 * now:.1f} %")
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
