"""The pointwise worst case over attacks: chosen on one set of draws, valued on another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rbench.results import sample_columns as column
from rbench.results.samples import numbers, predictions
from rbench.results.statistics import Estimate, accuracy, mean_of_draws

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """What one attack (or none) left of each sample.

    Attributes:
        select: [n] in [0, 1], to choose by.
        value: [n] in [0, 1], to report; measured on other draws than `select` if the defence is random.
        correct: bool [n, draws], the draws that `value` was made of.
        existing: bool [n, draws], the draws that exist; None if all of them do.
    """

    select: Values
    value: Values
    correct: NDArray[np.bool_]
    existing: NDArray[np.bool_] | None = None

    @property
    def counted(self) -> NDArray[np.bool_]:
        """The draws that exist, bool [n, draws]."""
        return np.ones_like(self.correct) if self.existing is None else self.existing


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


@dataclass(frozen=True)
class Unattacked:
    """Candidates of the worst case that no attack made; None where one cannot be.

    Attributes:
        clean: the clean image.
        noise: the image under uniform noise in the ball.
    """

    clean: Scores | None
    noise: Scores | None


def attack_scores(table: pa.Table, *, random: bool) -> Scores:
    """The scores of an attack: of every sample its point or that point in 8 bits, whichever is right less often on the select draws.

    Files hold 8-bit images, so what an attacker reaches by rounding is his as well. Runs that did not store the draws of the rounded
    images have the point alone.
    """
    point = _scores(table, column.ROBUST, column.SELECT)
    if table[column.ROBUST_8BIT_SELECT].null_count or table[column.ROBUST_8BIT_PREDICTIONS].null_count:
        return point
    rounded = _scores(table, column.ROBUST_8BIT, column.ROBUST_8BIT_SELECT)
    return _chosen([point, rounded], random=random)


def unattacked_scores(table: pa.Table, *, random: bool, decide: str) -> Unattacked:
    """The scores of the clean image and of the one under uniform noise, as candidates of the worst case.

    Under a random defence no image may be chosen and valued by the same draws, or luck alone would count as an attack (a defence that is
    right 90 % of the time whatever the image would come out below). Where the run did not measure `clean_select`, one half of the clean
    draws chooses and the other values; where that is impossible (one draw, or a decision that needs all of them) the clean image is no
    candidate. Where it did not measure `noise_select`, the noisy image is none.
    """
    noise = None if table[column.NOISE_SELECT].null_count else _scores(table, column.NOISE, column.NOISE_SELECT)
    if not random or table[column.CLEAN_SELECT].null_count == 0:
        return Unattacked(_scores(table, column.CLEAN, column.CLEAN_SELECT if random else column.CLEAN), noise)
    correct = _correct(table, column.CLEAN)
    draws = correct.shape[1]
    if decide != "mean" or draws < 2:
        return Unattacked(None, noise)
    chooses, values = correct[:, : draws // 2], correct[:, draws // 2 :]
    return Unattacked(Scores(chooses.mean(axis=1), values.mean(axis=1), values), noise)


@dataclass(frozen=True)
class Rule:
    """How the attacks of one row are put together.

    Attributes:
        random: whether the defence is random; if not, nothing is left to luck: the lowest value is the worst.
        decide: the rule that made one value of the draws of an image.
        unattacked: candidates like the attacks.
    """

    random: bool
    decide: str
    unattacked: Unattacked

    def worst(self, attacks: Sequence[Scores]) -> WorstCase:
        """The worst case over some attacks and no attack; ties go to the first attack."""
        return self._over(attacks, self.unattacked.clean, self.unattacked.noise)

    def worst_without_noise(self, attacks: Sequence[Scores]) -> WorstCase:
        """The same without uniform noise, which attacks are compared with."""
        return self._over(attacks, self.unattacked.clean)

    def _over(self, attacks: Sequence[Scores], *more: Scores | None) -> WorstCase:
        chosen = _chosen([*attacks, *(one for one in more if one is not None)], random=self.random)
        return WorstCase(chosen.value, chosen.correct, chosen.counted, self.random and self.decide == "mean")


def _chosen(candidates: Sequence[Scores], *, random: bool) -> Scores:
    """Of every sample the candidate that is right least often: by the select draws, or the value itself where nothing is left to luck."""
    choice = np.argmin(np.stack([c.select if random else c.value for c in candidates]), axis=0)
    n = len(choice)
    draws = max(c.correct.shape[1] for c in candidates)
    select, value = np.empty(n), np.empty(n)
    correct = np.zeros((n, draws), dtype=bool)
    counted = np.zeros((n, draws), dtype=bool)
    for index, candidate in enumerate(candidates):
        rows = choice == index
        width = candidate.correct.shape[1]
        select[rows], value[rows] = candidate.select[rows], candidate.value[rows]
        correct[rows, :width] = candidate.correct[rows]
        counted[rows, :width] = candidate.counted[rows]
    return Scores(select, value, correct, counted)


def _scores(table: pa.Table, value: str, select: str) -> Scores:
    correct = _correct(table, value)
    return Scores(_values(table, select), _values(table, value), correct)


def _correct(table: pa.Table, name: str) -> NDArray[np.bool_]:
    correct: NDArray[np.bool_] = predictions(table, column.DRAWS_OF[name]) == numbers(table, column.LABEL)[:, None]
    return correct


def _values(table: pa.Table, name: str) -> Values:
    return np.asarray(numbers(table, name), dtype=np.float64)
