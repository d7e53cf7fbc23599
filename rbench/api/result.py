"""What `rbench.evaluate` returns: a row of a leaderboard in memory, with what each attack did."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rbench.api.asking import AskedAttack
from rbench.api.setting import Setting
from rbench.api.verified import Verified, judged_again
from rbench.engine.evaluation import Evaluated
from rbench.errors import CellFailed
from rbench.harmless import NAME, harmless
from rbench.reports.notebook import row_html
from rbench.reports.plain import percent
from rbench.results import sample_columns as column
from rbench.results.compare import Comparison, paired
from rbench.results.flags.of_row import RowFlag
from rbench.results.record import Figure, Record, RungPart
from rbench.results.runs import ReadCell, Runs
from rbench.results.samples import table_of
from rbench.results.table import Table, table
from rbench.results.worst_case import attack_scores
from rbench.running.components import data_hash
from rbench.running.conclude import conclude
from rbench.running.prepare import Prepared
from rbench.running.record import done
from rbench.running.resume import cell_document

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True, eq=False)
class Attacked:
    """What one attack of an evaluation did.

    Attributes:
        record: the record of it, as a run folder has one; `record.audit`, `record.cost`, `record.rungs` are in it.
        samples: a row per sample.
        adversarial: [N, C, H, W] float32 proposals, on the CPU.
    """

    record: Record
    samples: pd.DataFrame
    adversarial: Tensor

    @property
    def robust_accuracy(self) -> Figure:
        """Accuracy under this attack alone."""
        assert self.record.summary is not None
        return self.record.summary.robust_accuracy

    def __repr__(self) -> str:
        path, n = self.record.attack.gradient, len(self.adversarial)
        name = harmless(self.record.attack.label, NAME)
        return f"Attacked(by {name} along {path}, {n} images: robust {_percent(self.robust_accuracy)})"


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """A classifier behind a purifier, judged under one attack or several: a row of a leaderboard.

    Attributes:
        setting: what was judged.
        done: what each attack did, in their order.
        cost: forwards, backwards, purifier passes and queries, in images, those of audits among them.

    Example:
        >>> import rbench, torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
        >>> images = torch.rand(8, 1, 4, 4)
        >>> asked = {"images": images, "labels": net(images).argmax(1), "attack": "fgsm", "eps": 0.1}
        >>> plain, blurred = rbench.evaluate(net, **asked), rbench.evaluate(net, **asked, purifier="gaussian-blur")
        >>> blurred.frame["purifier"].tolist()
        ['gaussian-blur']
        >>> "few-samples" in blurred.flag_names
        True
        >>> blurred.compare(plain).difference.n
        8
        >>> blurred.verify()
        Verified(8 adversarial images judged again, the same verdicts)
    """

    setting: Setting
    done: tuple["Concluded", ...]
    cost: dict[str, int]

    def __post_init__(self) -> None:
        if self.table.outcomes[0] is None:  # a model that answers otherwise each time, under several attacks
            raise CellFailed(f"the attacks cannot be put together: {self.table.records[0]['status']}")

    @cached_property
    def table(self) -> Table:
        """The row as a leaderboard of one row: what reporters take. Nothing of it is `unverified`, since nothing was stored."""
        return _without("unverified", table(Runs(tuple(one.cell for one in self.done))))

    @property
    def row(self) -> dict[str, Any]:
        """The row by column, as the page shows it."""
        return self.table.rows()[0]

    @property
    def frame(self) -> pd.DataFrame:
        """The row as a frame of one row, columns as in `leaderboard.csv`; those of several evaluations can be put together by pandas."""
        return self.table.frame

    @property
    def attacks(self) -> Mapping[str, Attacked]:
        """What each attack did, by what tables call it."""
        return MappingProxyType({one.asked.part.label: one.attacked for one in self.done})

    @property
    def standard_accuracy(self) -> Figure:
        """Without an attack, with its 95 % interval."""
        figure: Figure = self._summary.standard_accuracy
        return figure

    @property
    def noise_accuracy(self) -> Figure:
        """Under one uniform draw from the ball."""
        figure: Figure = self._summary.noise_accuracy
        return figure

    @property
    def robust_accuracy(self) -> Figure:
        """In the pointwise worst case: over the attacks, each also rounded to 8 bits, the clean image, and uniform noise."""
        row = self.table.records[0]
        values = (row[name] for name in ("robust_accuracy", "robust_low", "robust_high", "n"))
        return Figure(**dict(zip(("value", "low", "high", "n"), values, strict=True)))

    @property
    def robust(self) -> np.ndarray:
        """[N] the value of each sample in the worst case: 1 robust, 0 fooled, between them the mean over draws of a random defence."""
        assert self.table.outcomes[0] is not None
        return self.table.outcomes[0]

    @property
    def flags(self) -> tuple[RowFlag, ...]:
        """The doubts about the row, each with its value and what was seen."""
        return self.table.doubts[0]

    @property
    def flag_names(self) -> frozenset[str]:
        """The names of the flags."""
        return frozenset(flag.name for flag in self.flags)

    @property
    def gradient(self) -> str:
        """The gradient path of the strongest attack."""
        return str(self._strongest.record.attack.gradient)

    @property
    def audit(self) -> dict[str, Any]:
        """What was measured of the defended model, and of what the strongest attack made of the images."""
        return self._strongest.record.audit

    @property
    def rungs(self) -> tuple[RungPart, ...]:
        """What each rung of the strongest attack did; empty unless it is a ladder."""
        return self._strongest.record.rungs

    @property
    def samples(self) -> pd.DataFrame:
        """A row per sample and attack: label, distance, verdicts, predicted classes."""
        frames = [one.attacked.samples for one in self.done]
        return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)

    @cached_property
    def adversarial(self) -> Tensor:
        """[N, C, H, W] float32 on the CPU: of each sample the image of the attack that leaves it right least often."""
        if len(self.done) == 1:
            return self.done[0].attacked.adversarial
        random = bool(self.row["stochastic"]) or self.row["draws"] > 1
        scores = [attack_scores(one.cell.samples, random=random) for one in self.done]
        choice = np.argmin([one.select if random else one.value for one in scores], axis=0)
        images = torch.stack([one.attacked.adversarial for one in self.done])
        return images[torch.from_numpy(choice), torch.arange(len(choice))]

    @property
    def result_hash(self) -> str:
        """Equal for equal outcomes."""
        hashes = [str(one.attacked.record.result_hash) for one in self.done]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()

    def compare(self, other: "Evaluation") -> Comparison:
        """This one against another on the same images under the same threat, sample by sample in the worst case.

        Returns:
            The difference of robust accuracies with its paired interval, McNemar's test, and how many samples would tell the two apart.

        Raises:
            InputError: other images, another threat or protocol.
        """
        return paired(self.table, other.table)

    def verify(self) -> Verified:
        """Judges all adversarial images again, by models that have been shown nothing: copies, where they can be copied.

        Raises:
            CellFailed: the defended model broke a rule of judging now.
        """
        return judged_again(self.setting, [(one.asked, one.cell, one.attacked.adversarial) for one in self.done])

    def figure(self) -> "Drawing":
        """The accuracies with their intervals: without an attack, under each attack, in the worst case. `savefig` writes it."""
        from rbench.reports.figures import evaluation
        from rbench.reports.figures.style import styled

        with styled():
            return evaluation.draw(evaluation.frame(self.table))

    def to_json(self) -> str:
        """The row, its flags and the record of each attack as JSON, in the words of `rbench report --json`."""
        document = {
            "schema": 1,
            "row": {**self.row, "flags": [asdict(flag) for flag in self.flags]},
            "records": [one.attacked.record.model_dump(mode="json", by_alias=True) for one in self.done],
        }
        return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        row, names = self.table.records[0], ", ".join(harmless(name, NAME) for name in self.attacks)
        model = f"{harmless(row['purifier'], NAME)} on {harmless(row['backbone'], NAME)}"
        figures = f"standard {percent(row['standard_accuracy'])} %, robust {_percent(self.robust_accuracy)}"
        flags = ", ".join(row["flags"]) or "no flags"
        return (
            f"Evaluation({model}, {row['norm']} {row['eps_text']}, {row['n']} images: {figures} under {names}; {flags})"
        )

    def _repr_html_(self) -> str:
        return row_html(self.table)

    @property
    def _summary(self) -> Any:
        return self.done[0].attacked.record.summary

    @property
    def _strongest(self) -> Attacked:
        return self.attacks[self.row["strongest_attack"]] if len(self.done) > 1 else self.done[0].attacked


@dataclass(frozen=True, eq=False)
class Concluded:
    """One attack of an evaluation.

    Attributes:
        asked: what was asked.
        cell: as a table takes it.
        attacked: what came of it.
    """

    asked: AskedAttack
    cell: ReadCell
    attacked: Attacked


def concluded(setting: Setting, asked: AskedAttack, prepared: Prepared, parts: Sequence[Evaluated]) -> Concluded:
    """The conclusions from all samples of one attack.

    Args:
        setting: what was judged.
        asked: the attack.
        prepared: as it was run.
        parts: its samples.

    Raises:
        CellFailed: the purifier returned no images of this shape.
    """
    finished = conclude(prepared, parts)
    cell = asked.cell(setting.data, setting.backbone, setting.purifier)
    data = {
        "sha256": data_hash(setting.data, setting.ids),
        "duplicates": len(setting.data) - len(setting.ids),
        "class_names": setting.data.class_names,
        "told": setting.data.told(setting.ids),
    }
    record = done(cell, prepared, finished, data, "all")
    columns = finished.outcome.samples
    frame = pd.DataFrame({name: list(c) if c.ndim > 1 else c for name, c in columns.items()})
    frame.insert(0, "attack", asked.part.label)
    images = torch.from_numpy(finished.whole.arrays[column.IMAGES])
    read = ReadCell(cell.id, cell_document(cell), "done", Path("memory"), record, table_of(columns))
    return Concluded(asked, read, Attacked(record, frame, images))


def _without(name: str, whole: Table) -> Table:
    """The table without a flag."""
    records = [{**row, "flags": tuple(flag for flag in row["flags"] if flag != name)} for row in whole.records]
    doubts = [tuple(flag for flag in some if flag.name != name) for some in whole.doubts]
    return Table(tuple(records), tuple(doubts), whole.cells, whole.outcomes, whole.broken, whole.notes, whole.columns)


def _percent(figure: Figure) -> str:
    return f"{percent(figure.value)} % ({percent(figure.low)} to {percent(figure.high)})"
