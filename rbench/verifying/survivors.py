"""What attacking some survivors of a row again says about all of them: the statistics, without a model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rbench.results.worst_case import Values, attack_scores
from rbench.suite.cell import Decide

CONFIDENCE = 0.95
ENOUGH = 10
"""Survivors that must be attacked again for the robustness of a row to count as tested."""


@dataclass(frozen=True)
class Claim:
    """What a row claims.

    Attributes:
        value: its robust accuracy.
        low: lower end of the 95 % interval.
        ids: int64 [N] its samples.
        outcome: [N] value of each sample in the worst case; it survives from 0.5 on.
        right: int64 [N] right draws of those that it was valued by.
        draws: of each sample; 1 for a deterministic row.
        decide: how draws become a value.
        random: whether the defended model is.
    """

    value: float
    low: float
    ids: NDArray[np.int64]
    outcome: Values
    right: NDArray[np.int64]
    draws: int
    decide: Decide
    random: bool

    @property
    def survivors(self) -> NDArray[np.int64]:
        """Rows of the samples that survive all attacks."""
        return np.flatnonzero(self.outcome >= 0.5)


def right_draws(tables: Sequence[pa.Table]) -> NDArray[np.int64]:
    """How many score draws of each sample are right at the point that select draws choose among the attacks of a row, int64 [N].

    Args:
        tables: the samples of the row's cells.
    """
    scores = [attack_scores(table, random=True) for table in tables]
    chosen = np.argmin(np.stack([one.select for one in scores]), axis=0)
    right = np.stack([(one.correct & one.counted).sum(axis=1) for one in scores])
    return np.asarray(right[chosen, np.arange(len(chosen))], dtype=np.int64)


def false_share(fooled: int, attacked: int) -> tuple[float, float]:
    """The least and the most, each with 95 % confidence, that the share of false survivors can be (Clopper and Pearson 1934).

    Where none is fooled, at most 1 - 0.05^(1/k), which is about 3/k.
    """
    from scipy.special import betaincinv

    low = 0.0 if fooled == 0 else float(betaincinv(fooled, attacked - fooled + 1, 1 - CONFIDENCE))
    high = 1.0 if fooled == attacked else float(betaincinv(fooled + 1, attacked - fooled, CONFIDENCE))
    return low, high


def left_of(claim: Claim, fallen: int) -> float:
    """The robust accuracy that is left of a claim of which so many survivors fell."""
    return claim.value * (1 - fallen / len(claim.survivors))


def by_chance(claim: Claim, rows: NDArray[np.int64]) -> tuple[int, int]:
    """How many of some survivors of a random row fall on fresh draws though nothing is false: at least, and at most, each with 95 %.

    A survivor was taken because its draws came out well, and fresh ones come out worse on average. How right each sample really is
    follows the distribution that the whole row shows (a beta distribution by its moments), given the draws of the sample.

    Args:
        claim: of the row.
        rows: of the survivors that were attacked.
    """
    if not claim.random:
        return 0, 0
    chance = _falls(claim)[claim.right[rows]]
    fallen = np.ones(1)
    for p in chance:
        fallen = np.convolve(fallen, (1 - p, p))
    below = np.cumsum(fallen)
    return int(np.searchsorted(below, 1 - CONFIDENCE)), int(np.searchsorted(below, CONFIDENCE))


def _falls(claim: Claim) -> NDArray[np.float64]:
    """The probability that a sample of r right draws falls on as many fresh ones, [draws + 1] for every r."""
    from scipy.special import betaln, gammaln

    draws, shares = claim.draws, claim.right / claim.draws
    mean = float(np.clip(shares.mean(), 1e-3, 1 - 1e-3))
    spread = float(shares.var()) / (mean * (1 - mean))  # of shares; 1 / draws if all samples are alike
    alike = np.clip(
        (spread - 1 / draws) / max(1 - 1 / draws, 1e-9), 1e-3, 1 - 1e-3
    )  # correlation of draws of one sample
    size = 1 / alike - 1
    right = np.arange(draws + 1)
    needed = draws if claim.decide == "any" else draws / 2
    least = int(np.ceil(needed)) - 1  # so many right draws, or fewer, and it falls
    a, b = mean * size + right, (1 - mean) * size + draws - right
    fresh = np.arange(least + 1)[:, None]
    ways = gammaln(draws + 1) - gammaln(fresh + 1) - gammaln(draws - fresh + 1)
    found = np.exp(ways + betaln(fresh + a, draws - fresh + b) - betaln(a, b)).sum(axis=0)
    return np.asarray(found, dtype=np.float64).clip(0, 1)
