"""What attacking k survivors again says about all of them."""

import numpy as np
import pytest
from scipy.stats import binom

from rbench.verifying.survivors import Claim, by_chance, false_share, left_of


@pytest.mark.parametrize("k", [10, 30, 100, 1000])
def test_none_of_k_means_less_than_three_in_k(k):
    least, most = false_share(0, k)
    assert least == 0
    assert 0.85 * 3 / k < most < 3 / k
    assert (1 - most) ** k == pytest.approx(0.05)


@pytest.mark.parametrize(("fell", "k"), [(1, 10), (5, 10), (9, 10), (3, 200)])
def test_both_ends_are_those_at_which_so_many_would_be_a_one_in_twenty_surprise(fell, k):
    least, most = false_share(fell, k)
    assert binom.sf(fell - 1, k, least) == pytest.approx(0.05)
    assert binom.cdf(fell, k, most) == pytest.approx(0.05)


def test_all_of_them_leaves_nothing_to_believe():
    least, most = false_share(10, 10)
    assert most == 1
    assert least == pytest.approx(0.05 ** (1 / 10))


def claim(right, draws=16, *, decide="mean", random=True):
    """What a row says whose samples have so many right draws."""
    value = (right == draws).astype(float) if decide == "any" else right / draws
    mean, half = value.mean(), 1.96 * np.sqrt(value.var() / len(value))
    return Claim(float(mean), float(mean - half), np.arange(len(right)), value, right, draws, decide, random)


def refuted(row, fresh, k=30, seed=0):
    """Whether survivors drawn at random, judged on fresh draws, refute the claim, by the rule of the verifier."""
    chosen = np.random.default_rng(seed).choice(row.survivors, min(k, len(row.survivors)), replace=False)
    fooled = int((fresh[chosen] < 0.5).sum())
    least, _ = false_share(max(0, fooled - by_chance(row, chosen)[1]), len(chosen))
    return row.value * (1 - least) < row.low


@pytest.mark.parametrize("p", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("decide", ["mean", "any"])
def test_an_honest_random_row_is_not_refuted_by_chance(p, decide):
    wrong = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        row = claim(generator.binomial(16, p, 200), decide=decide)
        fresh = generator.binomial(16, p, 200)
        if len(row.survivors):
            wrong += refuted(row, (fresh == 16).astype(float) if decide == "any" else fresh / 16, seed=seed)
    assert wrong <= 2


def test_of_samples_of_every_kind_few_fall_by_chance():
    generator = np.random.default_rng(0)
    true = generator.beta(0.5, 0.5, 400)
    row = claim(generator.binomial(16, true))
    fell = [
        (generator.binomial(16, true)[chosen] < 8).sum() - by_chance(row, chosen)[1]
        for chosen in (generator.choice(row.survivors, 30, replace=False) for _ in range(100))
    ]
    assert np.mean(np.asarray(fell) > 0) < 0.12


def test_a_random_row_whose_survivors_all_fall_is_refuted():
    row = claim(np.full(100, 16))
    assert refuted(row, np.zeros(100))
    assert refuted(claim(np.random.default_rng(0).binomial(16, 0.9, 100)), np.zeros(100))


def test_of_a_deterministic_row_nothing_falls_by_chance():
    row = claim(np.repeat([0, 1], 20), 1, random=False)
    assert by_chance(row, row.survivors) == (0, 0)


def test_what_fell_is_taken_from_the_claim():
    right = np.array([1] * 73 + [0] * 27)
    row = claim(right, draws=1, random=False)
    assert row.value == pytest.approx(0.73)
    assert left_of(row, 7) == pytest.approx(0.66)
    assert left_of(row, 73) == 0
