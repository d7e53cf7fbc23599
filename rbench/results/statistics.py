"""Intervals and tests for accuracies.

Without scipy: importing its special functions would take longer than a small table.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
Z = 1.959963984540054
"""Standard normal quantile of 0.975: half of what lies outside `CONFIDENCE` is above it."""
REPLICATES = 10_000


class Estimate(NamedTuple):
    """A value with its 95 % interval, from `n` samples."""

    value: float
    low: float
    high: float
    n: int


class McNemar(NamedTuple):
    """The exact test of two classifiers on the same samples.

    Attributes:
        only_first: samples that only the first gets right.
        only_second: samples that only the second gets right.
        p_value: two-sided; 1 if they never disagree.
    """

    only_first: int
    only_second: int
    p_value: float


def wilson(successes: int, n: int) -> Estimate:
    """Wilson's score interval of a proportion (Wilson 1927)."""
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} successes of {n} are no proportion")
    value = successes / n
    centre = (value + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * math.sqrt(value * (1 - value) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    # Exact at the ends, where rounding would leave the interval a hair short of the value.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Estimate(value, low, high, int(n))


def two_level_bootstrap(
    correct: ArrayLike, *, counted: ArrayLike | None = None, seed: int = 0, replicates: int = REPLICATES
) -> Estimate:
    """Percentile interval of a random defence's accuracy, resampling the samples and, within each, its draws.

    Samples with the same number of right draws are alike, so a replicate is one multinomial draw of how
    often each such group comes up and one binomial draw per group: exactly the law of the plain two-level
    bootstrap, at a cost that does not grow with the samples. If all draws agree, the bootstrap has no spread
    and Wilson's interval over the samples stands in.

    Args:
        correct: bool [samples, draws].
        counted: bool [samples, draws], the draws that exist; all if not given. Each sample needs one.
        seed: of the resampling.
        replicates: number of resamplings.
    """
    hits, drawn = _hits(correct, counted)
    n = len(hits)
    value = float((hits / drawn).mean())
    if value in (0.0, 1.0):
        return wilson(round(value * n), n)
    groups, sizes = np.unique(np.stack([hits, drawn]), axis=1, return_counts=True)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(n, sizes / n, size=replicates)
    totals = rng.binomial(times * groups[1], groups[0] / groups[1]) / groups[1]
    low, high = _percentiles(totals.sum(axis=1) / n, CONFIDENCE)
    return Estimate(value, min(low, value), max(high, value), n)


def mean_of_draws(correct: ArrayLike, *, counted: ArrayLike | None = None) -> float:
    """The value of `two_level_bootstrap`, at none of its cost."""
    hits, drawn = _hits(correct, counted)
    return float((hits / drawn).mean())


def accuracy(values: ArrayLike, correct: ArrayLike | None = None, *, counted: ArrayLike | None = None) -> Estimate:
    """The accuracy of per-sample values with the interval that fits them.

    Wilson's where every sample is right or wrong (one draw, or draws decided by majority or by the worst);
    the two-level bootstrap over `correct` where a value is the mean over draws.

    Args:
        values: [samples], each in [0, 1].
        correct: bool [samples, draws], given only where `values` are means over draws of a random defence.
        counted: bool [samples, draws], the draws that exist.
    """
    scores = np.asarray(values, dtype=np.float64)
    if len(scores) == 0:
        raise ValueError("no samples: the accuracy is undefined")
    if correct is not None:
        return two_level_bootstrap(correct, counted=counted)
    successes = float(scores.sum())
    if not np.isin(scores, (0.0, 1.0)).all():
        raise ValueError("values between 0 and 1 need their draws")
    return wilson(round(successes), len(scores))


def clustered(values: ArrayLike, *, seed: int = 0, replicates: int = REPLICATES) -> Estimate:
    """The mean over images with its percentile interval, clustered by image.

    What was measured of one image (corruptions, severities, draws) is one value, its mean: a replicate draws whole images, so that what
    they share widens the interval as it should. Wilson's interval where every image is right or wrong, or all values are 0 or all 1.

    Args:
        values: [images], each in [0, 1].
        seed: of the resampling.
        replicates: number of resamplings.
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or len(scores) == 0:
        raise ValueError("no images: the mean is undefined")
    if np.isin(scores, (0.0, 1.0)).all():
        return wilson(round(float(scores.sum())), len(scores))
    found = paired_bootstrap(scores, np.zeros_like(scores), seed=seed, replicates=replicates)
    low, high = max(0.0, min(found.low, found.value)), min(1.0, max(found.high, found.value))
    return Estimate(found.value, low, high, len(scores))


def binomial_tail(successes: int, n: int, p: float) -> float:
    """The probability of at least so many successes in n trials with probability p each: the p-value of the one-sided test."""
    if successes <= 0:
        return 1.0
    if successes > n or p <= 0:
        return 0.0
    if successes <= n * p:  # the other tail is the short one
        return 1.0 - binomial_tail(n - successes + 1, n, 1 - p)
    ways = math.lgamma(n + 1) - math.lgamma(successes + 1) - math.lgamma(n - successes + 1)
    term = math.exp(ways + successes * math.log(p) + (n - successes) * math.log1p(-p))
    tail = term
    for count in range(successes, n):
        term *= (n - count) / (count + 1) * p / (1 - p)
        if term < tail * 1e-17:  # terms fall from here on, ever faster
            break
        tail += term
    return tail


def mcnemar(first: ArrayLike, second: ArrayLike) -> McNemar:
    """McNemar's exact test: where two classifiers disagree, is either more likely to be right?"""
    a, b = _paired(np.asarray(first, dtype=bool), np.asarray(second, dtype=bool))
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    # Under the null each disagreement is a fair coin: twice the tail of the rarer side.
    tail = binomial_tail(max(only_first, only_second), only_first + only_second, 0.5)
    return McNemar(only_first, only_second, min(1.0, 2 * tail))


def paired_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Estimate:
    """The mean of `first - second` over the same samples, with its percentile interval.

    Samples with the same difference are alike: a replicate is one multinomial draw over the distinct ones.
    """
    a, b = _paired(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))
    if len(a) == 0:
        raise ValueError("no samples: the difference is undefined")
    differences, sizes = np.unique(a - b, return_counts=True)
    rng = np.random.default_rng(seed)
    n = len(a)
    # In blocks, because continuous values make as many groups as samples.
    block = max(1, 5_000_000 // len(differences))
    means = [
        rng.multinomial(n, sizes / n, size=min(block, replicates - done)) @ differences / n
        for done in range(0, replicates, block)
    ]
    low, high = _percentiles(np.concatenate(means), confidence)
    return Estimate(float((a - b).mean()), low, high, n)


def _hits(correct: ArrayLike, counted: ArrayLike | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    right = np.atleast_2d(np.asarray(correct, dtype=bool))
    there = np.ones_like(right) if counted is None else np.asarray(counted, dtype=bool)
    drawn = there.sum(axis=1)
    if len(right) == 0 or (drawn == 0).any():
        raise ValueError("the bootstrap needs a sample, and a draw for each sample")
    return (right & there).sum(axis=1), drawn


def _percentiles(replicates: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


def _paired(first: NDArray[Any], second: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"paired values need one shape, found {first.shape} and {second.shape}")
    return first, second
