"""Rank correlations over points, with what chance leaves of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from rbench.theory.points import Point

LEAST = 4
"""Points below which a rank correlation is said to be none: three points are in order by chance once in three times."""
RESAMPLES = 10_000


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation.

    Attributes:
        group: what the points share.
        n: how many they are.
        rho: in [-1, 1]; None below four points, or where all values are equal.
        low: lower end of the 95 % percentile bootstrap interval.
        high: its upper end.
    """

    group: str
    n: int
    rho: float | None
    low: float | None = None
    high: float | None = None


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's rho, ties at their mean rank; None where one side does not vary."""
    a, b = rankdata(x), rankdata(y)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def correlation(group: str, x: Sequence[float], y: Sequence[float], seed: int = 0) -> Correlation:
    """Rho and its bootstrap interval (Efron and Tibshirani 1993, section 13.3): pairs drawn again with replacement.

    Draws in which one side does not vary say nothing and are left out.
    """
    if len(x) < LEAST:
        return Correlation(group, len(x), None)
    rho = spearman(x, y)
    draw = np.random.default_rng(seed)
    a, b = np.asarray(x), np.asarray(y)
    drawn = (spearman(a[i], b[i]) for i in draw.integers(0, len(a), (RESAMPLES, len(a))))
    found = [one for one in drawn if one is not None]
    if rho is None or not found:
        return Correlation(group, len(x), rho)
    low, high = np.quantile(found, [0.025, 0.975])
    return Correlation(group, len(x), rho, float(low), float(high))


def correlations(points: Sequence[Point]) -> list[Correlation]:
    """L_con against robust accuracy: for every radius, and where a backbone stands behind several purifiers, for every backbone."""
    found = []
    for eps in dict.fromkeys(point.eps for point in points):
        same = [point for point in points if point.eps == eps]
        found.append(_of(f"eps {eps}, all backbones", same))
        for backbone in dict.fromkeys(point.backbone for point in same):
            behind = [point for point in same if point.backbone == backbone]
            if len(behind) >= LEAST and len(behind) < len(same):
                found.append(_of(f"eps {eps}, {backbone}", behind))
    return found


def _of(group: str, points: Sequence[Point]) -> Correlation:
    return correlation(group, [p.attacked_contrastive for p in points], [p.robust_accuracy for p in points])
