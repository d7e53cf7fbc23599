"""The pointwise worst case over attacks: chosen on one set of draws, valued on another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rbench.results import sample_columns as column
from rbench.results.samples import predictions
from rbench.results.statistics import Estimate, accuracy, mean_of_draws

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """What one attack (or none) left of each sample.

    Attributes:
        select: [n] in [0, 1], to choose by.
        value: [n] in [0, 1], to report; measured on other draws than `select` if the defence is random.
        correct: bool [n, draws], the draws that `value` was made of.
    """

    select: Values
    value: Values
    correct: NDArray[np.bool_]


@dataclass(frozen=True)
class WorstCase:
    """The outcome of a row.

    Attributes:
        value: [n] in [0, 1].
        correct: bool [n, draws].
        counted: bool [n, draws], the draws that exist.
        mean_of_draws: whether `value` is a mean over draws, not a decision.
    """

    value: Values
    correct: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    mean_of_draws: bool

    def accuracy(self) -> float:
        """That of `estimate`, without the bootstrap that its interval may take."""
        if self.mean_of_draws:
            return mean_of_draws(self.correct, counted=self.counted)
        return accuracy(self.value).value

    def estimate(self) -> Estimate:
        """The accuracy with its interval."""
        if self.mean_of_draws:
            return accuracy(self.value, self.correct, counted=self.counted)
        return accuracy(self.value)


def attack_scores(table: pa.Table) -> Scores:
    """The scores of an attack from the samples of its cell."""
    correct = predictions(table, column.ROBUST_PREDICTIONS) == table[column.LABEL].to_numpy()[:, None]
    return Scores(_values(table, column.SELECT), _values(table, column.ROBUST), correct)


def clean_scores(table: pa.Table, *, random: bool, decide: str) -> Scores | None:
    """The scores of the unattacked image, as one more candidate of the worst case.

    Under a random defence it must not be chosen and valued by the same draws, or luck alone would count as an
    attack (a defence that is right 90 % of the time whatever the image would come out below). Where the run did
    not measure `clean_select`, one half of the clean draws chooses and the other values; where that is impossible
    (one draw, or a decision that needs all of them) the clean image is no candidate.
    """
    correct = predictions(table, column.CLEAN_PREDICTIONS) == table[column.LABEL].to_numpy()[:, None]
    clean = _values(table, column.CLEAN)
    if not random:
        return Scores(clean, clean, correct)
    if table[column.CLEAN_SELECT].null_count == 0:
        return Scores(_values(table, column.CLEAN_SELECT), clean, correct)
    draws = correct.shape[1]
    if decide != "mean" or draws < 2:
        return None
    chooses, values = correct[:, : draws // 2], correct[:, draws // 2 :]
    return Scores(chooses.mean(axis=1), values.mean(axis=1), values)


@dataclass(frozen=True)
class Rule:
    """How the attacks of one row are put together.

    Attributes:
        random: whether the defence is random; if not, nothing is left to luck: the lowest value is the worst.
        decide: the rule that made one value of the draws of an image.
        clean: the unattacked image, a candidate like the attacks; None if it cannot be one.
    """

    random: bool
    decide: str
    clean: Scores | None

    def worst(self, attacks: Sequence[Scores]) -> WorstCase:
        """The worst case over some attacks and no attack; ties go to the first attack."""
        candidates = [*attacks, self.clean] if self.clean else list(attacks)
        return _worst(candidates, random=self.random, decide=self.decide)


def _worst(candidates: Sequence[Scores], *, random: bool, decide: str) -> WorstCase:
    choice = np.argmin(np.stack([c.select if random else c.value for c in candidates]), axis=0)
    n = len(choice)
    draws = max(c.correct.shape[1] for c in candidates)
    value = np.empty(n)
    correct = np.zeros((n, draws), dtype=bool)
    counted = np.zeros((n, draws), dtype=bool)
    for index, candidate in enumerate(candidates):
        rows = choice == index
        width = candidate.correct.shape[1]
        value[rows] = candidate.value[rows]
        correct[rows, :width] = candidate.correct[rows]
        counted[rows, :width] = True
    return WorstCase(value, correct, counted, mean_of_draws=random and decide == "mean")


def _values(table: pa.Table, name: str) -> Values:
    return np.asarray(table[name].to_numpy(), dtype=np.float64)
