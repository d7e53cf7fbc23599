"""Images without an attack: the clean ones and those under uniform noise, judged once per defended model and radius."""

from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from rbench.engine.judge import Judge
from rbench.results import sample_columns as column
from rbench.threat.batch import Batch

Judged = dict[str, Tensor]


@dataclass
class UnattackedVerdicts:
    """The verdicts on images without an attack, of all cells of a run that share them.

    They depend on the defended model, the ball, the draws and the seed, so a row of ten attacks asks for them once.
    """

    _known: WeakKeyDictionary[nn.Module, dict[Any, Judged]] = field(default_factory=WeakKeyDictionary)

    def of(self, judge: Judge, clean: Batch) -> Judged:
        """The predicted classes [N, draws] of the clean images and of the noisy ones, on select and score draws, by name.

        The passes are not counted as those of a cell: which cell of a row asks first depends on what was run before.

        Args:
            judge: of the cell.
            clean: N samples.

        Raises:
            CellFailed: a logit is not finite.
        """
        known = self._known.setdefault(judge.model.backbone, {})
        ball = (judge.ball.norm, judge.ball.largest)
        rule = (id(judge.model.purifier), *ball, judge.select_draws, judge.draws, judge.noise.seed)
        ids = clean.ids.tolist()
        missing = torch.tensor([(rule, sample) not in known for sample in ids], device=clean.device)
        if missing.any():
            spent = replace(judge.model.meter)
            judged = _judged(judge, clean.at(missing))
            vars(judge.model.meter).update(vars(spent))
            for place, sample in enumerate(clean.ids[missing].tolist()):
                known[rule, sample] = {name: classes[place] for name, classes in judged.items()}
        rows = [known[rule, sample] for sample in ids]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def _judged(judge: Judge, clean: Batch) -> Judged:
    clean_select, clean_score = judge.both(clean.x, clean)
    noise_select, noise_score = judge.both(noisy(judge, clean), clean)
    return {
        column.CLEAN_SELECT_PREDICTIONS: clean_select,
        column.CLEAN_PREDICTIONS: clean_score,
        column.NOISE_SELECT_PREDICTIONS: noise_select,
        column.NOISE_PREDICTIONS: noise_score,
    }


def noisy(judge: Judge, clean: Batch) -> Tensor:
    """Images under uniform noise in the ball: the baseline that every attack must beat."""
    return judge.ball.uniform(clean.x, judge.noise.of("calibration", clean.ids, clean.device))
