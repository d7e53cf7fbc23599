"""Rank correlations over points, with bootstrap intervals; no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from rbench.theory.points import Point, pooled

LEAST = 4
"""Fewest points of a rank correlation: three are in perfect order, up or down, by chance once in three times."""
RESAMPLES = 10_000

Against = Literal["robust_accuracy", "adversarial_ce"]
AGAINST: tuple[Against, ...] = ("robust_accuracy", "adversarial_ce")


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of attacked L_con with another figure.

    Attributes:
        group: what the points share.
        against: the other figure, a field of `Point`.
        n: how many points they are.
        rho: in [-1, 1]; None below four points, or where all values are equal.
        low: lower end of the 95 % percentile bootstrap interval.
        high: its upper end.
    """

    group: str
    against: Against
    n: int
    rho: float | None
    low: float | None = None
    high: float | None = None


def spearman(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Spearman's rho along the last axis, ties at their mean rank; NaN where one side does not vary.

    Args:
        x: [..., N] numbers.
        y: the same shape.

    Returns:
        [...] in [-1, 1].
    """
    a, b = (rankdata(side, axis=-1) - (np.shape(side)[-1] + 1) / 2 for side in (x, y))
    lengths = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    rho: NDArray[np.float64] = np.divide((a * b).sum(-1), lengths, out=np.full_like(lengths, np.nan), where=lengths > 0)
    return rho


def interval(x: ArrayLike, y: ArrayLike, seed: int = 0) -> tuple[float, float] | None:
    """The 95 % percentile bootstrap interval of rho (Efron and Tibshirani 1993, section 13.3): pairs drawn again with replacement.

    Draws in which one side does not vary have no rho and are left out; None if that leaves none.
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    drawn = np.random.default_rng(seed).integers(0, len(a), (RESAMPLES, len(a)))
    rhos = spearman(a[drawn], b[drawn])
    rhos = rhos[~np.isnan(rhos)]
    if not len(rhos):
        return None
    low, high = np.quantile(rhos, [0.025, 0.975])
    return float(low), float(high)


def correlation(group: str, points: Sequence[Point], against: Against) -> Correlation:
    """The correlation of the attacked L_con of some points with another of their figures."""
    x, y = [point.attacked_contrastive for point in points], [getattr(point, against) for point in points]
    rho = float(spearman(x, y)) if len(points) >= LEAST else np.nan
    if np.isnan(rho):
        return Correlation(group, against, len(points), None)
    low, high = interval(x, y) or (None, None)
    return Correlation(group, against, len(points), rho, low, high)


def correlations(points: Sequence[Point]) -> list[Correlation]:
    """For every radius, and within it for every frozen backbone with four purifiers or more before it.

    Radii are not pooled: a larger ball raises L_con and lowers the accuracy of every purifier, so any two figures would agree.
    """
    groups: dict[str, list[Point]] = {}
    for eps in dict.fromkeys(point.eps for point in points):
        same = [point for point in points if point.eps == eps]
        groups[pooled(eps)] = same
        for frozen in dict.fromkeys(point.frozen for point in same):
            behind = [point for point in same if point.frozen == frozen]
            if LEAST <= len(behind) < len(same):
                groups[f"eps {eps}, {frozen}"] = behind
    return [correlation(group, some, against) for against in AGAINST for group, some in groups.items()]
