"""Adversarial images in memory, judged again by models that were shown nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rbench.api.asking import AskedAttack
from rbench.api.setting import Setting, set_up
from rbench.results.runs import ReadCell
from rbench.verifying.again import Again


@dataclass(frozen=True, repr=False)
class Verified:
    """What judging again has found.

    Attributes:
        faults: what does not fit, one line each; nothing if all verdicts are the same.
        examples: adversarial images that were judged.
        near_ties: predictions that differ by rounding alone.
        largest_distance: of the images from the clean ones, in the norm of the threat.
    """

    faults: tuple[str, ...]
    examples: int
    near_ties: int
    largest_distance: float

    @property
    def ok(self) -> bool:
        """Whether all verdicts are the same."""
        return not self.faults

    def __repr__(self) -> str:
        found = "the same verdicts" if self.ok else "; ".join(self.faults)
        return f"Verified({self.examples} adversarial images judged again, {found})"


def judged_again(setting: Setting, attacks: Sequence[tuple[AskedAttack, ReadCell, Tensor]]) -> Verified:
    """The verdicts of now beside those of an evaluation.

    Args:
        setting: what was judged; its modules are asked as they are now.
        attacks: what was asked, the cell that came of it, and its images [N, C, H, W].

    Raises:
        CellFailed: the defended model broke a rule of judging now.
    """
    faults, ties, largest = list[str](), 0, 0.0
    for asked, cell, images in attacks:
        assert cell.record is not None
        assert cell.samples is not None
        with setting.judging() as loaded:
            prepared = set_up(setting, loaded, asked)
            again = Again(prepared.setup, cell.samples)
            if prepared.setup.weights != cell.record.provenance.get("weights_sha256"):
                faults.append("weights: purifier or backbone are not those that were judged")
            size = asked.terms.batch_size
            rows = np.arange(len(setting.ids))
            batches = [rows[start : start + size] for start in range(0, len(rows), size)]
            for some in batches[::-1]:  # the last ones first: whoever counts its calls answers otherwise
                clean = prepared.read(setting.ids[some])
                again.examples(some, images[torch.from_numpy(some)].to(clean.device), clean)
            for some in batches[::-1]:
                clean = prepared.read(setting.ids[some])
                again.clean(some, clean, prepared.setup.unattacked.of(prepared.setup.judge, clean))
        faults += [f"{asked.part.label}: {fault}" for fault in again.conclusion()]
        ties, largest = ties + again.near_ties, max(largest, again.largest)
    examples = len(attacks) * len(setting.ids)
    return Verified(tuple(dict.fromkeys(faults)), examples, ties, largest)
