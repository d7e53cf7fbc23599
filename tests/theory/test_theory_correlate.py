import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from rbench.theory.correlate import correlation, correlations, interval, spearman
from rbench.theory.points import Point, Settings

POINT = Point("", "d", "b", "f", "p", "0.1", 0.1, 1.0, 9, 0.5, 1.7, 1.0, 4.0, 0.9, 0.3)


def point(purifier, backbone, contrastive, robust, eps="0.1", ce=1.7, frozen=None):
    return replace(
        POINT, purifier=purifier, backbone=backbone, frozen=frozen or backbone, eps=eps,
        attacked_contrastive=contrastive, robust_accuracy=robust, adversarial_ce=ce,
    )  # fmt: skip


def row(values, robust):
    return [point(f"p{i}", "b", value, one) for i, (value, one) in enumerate(zip(values, robust, strict=True))]


def test_spearman_by_hand():
    """Ranks 1 2 3 4 5 against 2 1 4 3 5: rho = 1 - 6 * (1 + 1 + 1 + 1 + 0) / (5 * 24)."""
    assert spearman([10, 20, 30, 40, 50], [0.2, 0.1, 0.4, 0.3, 9.0]) == pytest.approx(1 - 24 / 120)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 2, 3], [1, 2, 2, 3]) == pytest.approx(1)
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3]))


def test_spearman_is_scipys_for_ties_and_row_by_row():
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 6, (20, 9)), draw.integers(0, 6, (20, 9))
    expected = [spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    assert spearman(x, y) == pytest.approx(expected)


def test_an_interval_holds_the_estimate_is_repeatable_and_is_wide_for_noise():
    assert interval([1, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3, 2, 1]) == pytest.approx((-1, -1))
    x, y = [1, 2, 3, 4, 5, 6], [3, 1, 6, 2, 5, 4]
    low, high = interval(x, y)
    assert low < 0 < high
    assert low < spearman(x, y) < high
    assert interval(x, y) == (low, high)
    assert interval([1, 1, 1, 1], [1, 2, 3, 4]) is None


def test_an_interval_is_that_of_all_possible_resamples():
    """Five pairs have 3,125 resamples; their quantiles are what the drawn ones come near."""
    x, y = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 3, 1, 5, 4])
    every = np.array(list(itertools.product(range(5), repeat=5)))
    rhos = spearman(x[every], y[every])
    expected = np.nanquantile(rhos, [0.025, 0.975])
    assert expected[0] < np.nanquantile(rhos, 0.05) - 0.1
    assert interval(x, y) == pytest.approx(expected, abs=0.05)


def test_three_points_are_no_correlation_and_four_are_one():
    none = correlation("g", row([1, 2, 3], [0.1, 0.2, 0.3]), "robust_accuracy")
    assert (none.n, none.rho, none.low, none.high) == (3, None, None, None)
    some = correlation("g", row([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4]), "robust_accuracy")
    assert (some.n, some.rho, some.low) == (4, pytest.approx(1), pytest.approx(1))
    assert correlation("g", row([1, 2, 3, 4], [0, 0, 0, 0]), "robust_accuracy").rho is None


def test_radii_are_never_pooled_and_a_backbone_behind_four_purifiers_stands_alone():
    points = [point(f"p{i}", "own", i, 1 - i / 10, eps) for i in range(4) for eps in ("0.1", "0.2")]
    points += [point(f"p{i}", f"own+head{i}", i, 0.5 + i / 10, eps) for i in range(3) for eps in ("0.1", "0.2")]
    found = {one.group: one for one in correlations(points) if one.against == "robust_accuracy"}
    assert set(found) == {"eps 0.1, all backbones", "eps 0.1, own", "eps 0.2, all backbones", "eps 0.2, own"}
    assert found["eps 0.1, own"].rho == pytest.approx(-1)
    assert found["eps 0.1, all backbones"].n == 7


def test_heads_of_one_frozen_backbone_are_one_group():
    heads = [point(f"p{i}", f"own-{i}", i, 1 - i / 10, frozen="net + head") for i in range(4)]
    bare = [point(f"p{i}", "own", i, 0.5, frozen="net") for i in range(4)]
    found = {one.group: one for one in correlations([*heads, *bare]) if one.against == "robust_accuracy"}
    assert found["eps 0.1, net + head"].rho == pytest.approx(-1)
    assert found["eps 0.1, net"].rho is None


def test_the_adversarial_cross_entropy_is_correlated_too():
    points = [point(f"p{i}", "b", i, 1 - i / 10, ce=2 + i) for i in range(4)]
    found = {one.against: one.rho for one in correlations(points)}
    assert found == {"robust_accuracy": pytest.approx(-1), "adversarial_ce": pytest.approx(1)}


def test_kappa_is_the_rise_of_the_cross_entropy_per_unit_of_the_contrastive_loss():
    assert POINT.kappa == pytest.approx((1.7 - 0.5) / 4)
    assert POINT.excess_contrastive == pytest.approx(3)
    assert POINT.excess_kappa == pytest.approx(0.4)
    assert replace(POINT, attacked_contrastive=0.0).kappa is None
    assert replace(POINT, attacked_contrastive=-0.5, clean_contrastive=-1.0).excess_kappa == pytest.approx(2.4)
    assert POINT.row()["excess_kappa"] == POINT.excess_kappa


@pytest.mark.parametrize(("n", "batch", "parts"), [(1000, 128, 8), (128, 128, 1), (129, 128, 2), (3, 2, 1), (5, 2, 2)])
def test_no_batch_of_images_is_left_with_a_single_one(n, batch, parts):
    assert Settings(batch=batch).batches(n) == parts
    assert n // parts >= 2
