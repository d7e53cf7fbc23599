"""Intervals and tests against published figures, sums done by hand, and simulation."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import bdtrc, ndtri
from scipy.stats import binomtest

from rbench.results.compare import Z_POWER
from rbench.results.statistics import (
    CONFIDENCE,
    Z,
    accuracy,
    binomial_tail,
    mcnemar,
    paired_bootstrap,
    two_level_bootstrap,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_agrees_with_newcombe_1998_table_1(successes, n, low, high):
    found = wilson(successes, n)
    assert found.value == successes / n
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_and_mcnemar_are_those_of_scipy(counts):
    successes, n = counts
    theirs = binomtest(successes, n)
    interval = theirs.proportion_ci(0.95, method="wilson")
    assert wilson(successes, n)[1:3] == pytest.approx((interval.low, interval.high), abs=1e-12)
    disagree = np.arange(n) < successes
    assert mcnemar(disagree, ~disagree).p_value == pytest.approx(theirs.pvalue, rel=1e-9)


def test_quantiles_are_those_of_scipy_to_the_last_bit():
    assert float(ndtri((1 + CONFIDENCE) / 2)) == Z
    assert float(ndtri(0.8)) == Z_POWER


@given(
    st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))),
    st.one_of(st.sampled_from([0.5, 0.1, 0.01, 1.0]), st.floats(0.001, 0.999)),
)
def test_binomial_tails_are_those_of_scipy(counts, p):
    successes, n = counts
    assert binomial_tail(successes, n, p) == pytest.approx(float(bdtrc(successes - 1, n, p)), rel=1e-9, abs=1e-200)


@pytest.mark.parametrize(("successes", "tail"), [(-1, 1.0), (0, 1.0), (5, 0.0)])
def test_binomial_tails_end_at_none_and_all(successes, tail):
    assert binomial_tail(successes, 4, 0.5) == tail


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_what_is_no_proportion_is_refused(successes, n):
    with pytest.raises(ValueError, match="no proportion"):
        wilson(successes, n)


def test_wilson_is_symmetric_and_holds_at_the_ends():
    assert wilson(0, 50).low == 0
    assert wilson(50, 50).high == 1
    assert wilson(0, 50).high == pytest.approx(1 - wilson(50, 50).low)


@pytest.mark.parametrize(("only_first", "only_second"), [(8, 0), (10, 2), (3, 3), (1, 0), (0, 0), (5, 12)])
def test_mcnemar_is_the_binomial_sum(only_first, only_second):
    n, fewer = only_first + only_second, min(only_first, only_second)
    by_hand = min(1.0, 2 * sum(comb(n, k) for k in range(fewer + 1)) / 2**n)
    first = [1] * only_first + [0] * only_second + [1] * 7 + [0] * 5
    second = [0] * only_first + [1] * only_second + [1] * 7 + [0] * 5
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (only_first, only_second)
    assert found.p_value == pytest.approx(by_hand)


def test_the_bootstrap_of_groups_has_the_law_of_the_plain_two_level_bootstrap():
    rng = np.random.default_rng(0)
    correct = rng.random((40, 5)) < rng.random((40, 1))
    plain = []
    for _ in range(4000):
        rows = correct[rng.integers(0, 40, 40)]
        plain.append(np.take_along_axis(rows, rng.integers(0, 5, (40, 5)), axis=1).mean())
    found = two_level_bootstrap(correct)
    assert found.value == pytest.approx(correct.mean())
    assert found.low == pytest.approx(np.quantile(plain, 0.025), abs=0.012)
    assert found.high == pytest.approx(np.quantile(plain, 0.975), abs=0.012)


def test_draws_that_do_not_exist_do_not_count():
    correct = np.array([[True, False, True, True], [True, True, False, False]])
    counted = np.array([[True, True, False, False], [True, True, True, True]])
    assert two_level_bootstrap(correct, counted=counted).value == 0.5
    with pytest.raises(ValueError, match="a draw for each sample"):
        two_level_bootstrap(correct, counted=counted & [[False], [True]])


def test_the_two_level_interval_covers_the_accuracy_of_a_random_defence():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        found = two_level_bootstrap(rng.random((100, 8)) < 0.9, replicates=1000)
        covered += found.low <= 0.9 <= found.high
    assert covered >= 185


def test_unanimous_draws_get_wilsons_interval_not_an_empty_one():
    assert two_level_bootstrap(np.ones((50, 8))) == wilson(50, 50)
    assert two_level_bootstrap(np.zeros((50, 8))) == wilson(0, 50)


def test_the_bootstraps_are_reproducible():
    correct = np.random.default_rng(2).random((60, 4)) < 0.5
    assert two_level_bootstrap(correct) == two_level_bootstrap(correct)
    assert two_level_bootstrap(correct) != two_level_bootstrap(correct, seed=1)
    assert paired_bootstrap(correct[:, 0], correct[:, 1]) == paired_bootstrap(correct[:, 0], correct[:, 1])


def test_the_paired_bootstrap_agrees_with_the_normal_law_for_many_samples():
    rng = np.random.default_rng(3)
    first, second = rng.random((2, 2000)) < [[0.7], [0.6]]
    difference = first.astype(float) - second
    found = paired_bootstrap(first, second)
    half = 1.96 * difference.std() / np.sqrt(2000)
    assert found.value == pytest.approx(difference.mean())
    assert found.low == pytest.approx(found.value - half, abs=0.003)
    assert found.high == pytest.approx(found.value + half, abs=0.003)


def test_a_classifier_does_not_differ_from_itself():
    values = np.random.default_rng(4).random(50)
    assert paired_bootstrap(values, values)[:3] == (0, 0, 0)


def test_paired_values_need_the_same_samples():
    with pytest.raises(ValueError, match="one shape"):
        mcnemar([1, 0], [1])
    with pytest.raises(ValueError, match="one shape"):
        paired_bootstrap([1, 0], [1])


def test_no_samples_have_no_accuracy():
    with pytest.raises(ValueError, match="undefined"):
        accuracy([])
    with pytest.raises(ValueError, match="undefined"):
        paired_bootstrap([], [])


def test_the_accuracy_picks_the_interval_that_fits():
    assert accuracy([1, 0, 1, 1]) == wilson(3, 4)
    drawn = np.array([[True, False], [True, True]])
    assert accuracy(drawn.mean(axis=1), drawn) == two_level_bootstrap(drawn)
    with pytest.raises(ValueError, match="need their draws"):
        accuracy([0.5, 1.0])
