import pytest

from rbench.theory.correlate import correlation, correlations, spearman
from rbench.theory.points import Point


def point(purifier, backbone, contrastive, robust, eps="0.1"):
    return Point("", "d", backbone, purifier, eps, 0.1, 1.0, 9, 0.5, 1.7, 3.0, contrastive, 0.9, robust)


def test_spearman_by_hand():
    """Ranks 1 2 3 4 5 against 2 1 4 3 5: rho = 1 - 6 * (1 + 1 + 1 + 1 + 0) / (5 * 24)."""
    assert spearman([10, 20, 30, 40, 50], [0.2, 0.1, 0.4, 0.3, 9.0]) == pytest.approx(1 - 24 / 120)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 2, 3], [1, 2, 2, 3]) == pytest.approx(1)
    assert spearman([1, 1, 1], [1, 2, 3]) is None


def test_an_interval_holds_the_estimate_is_repeatable_and_is_wide_for_noise():
    order = correlation("g", [1, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3, 2, 1])
    assert (order.rho, order.low, order.high) == pytest.approx((-1, -1, -1))
    noise = correlation("g", [1, 2, 3, 4, 5, 6], [3, 1, 6, 2, 5, 4])
    assert noise.low < 0 < noise.high
    assert noise == correlation("g", [1, 2, 3, 4, 5, 6], [3, 1, 6, 2, 5, 4])


def test_three_points_are_no_correlation():
    assert correlation("g", [1, 2, 3], [1, 2, 3]).rho is None


def test_radii_are_never_pooled_and_a_backbone_behind_four_purifiers_stands_alone():
    points = [point(f"p{i}", "own", i, 1 - i / 10, eps) for i in range(4) for eps in ("0.1", "0.2")]
    points += [point(f"p{i}", f"own+head{i}", i, 0.5 + i / 10, eps) for i in range(4) for eps in ("0.1", "0.2")]
    found = {one.group: one for one in correlations(points)}
    assert set(found) == {"eps 0.1, all backbones", "eps 0.1, own", "eps 0.2, all backbones", "eps 0.2, own"}
    assert found["eps 0.1, own"].rho == pytest.approx(-1)
    assert found["eps 0.1, all backbones"].n == 8


def test_kappa_is_the_rise_of_the_cross_entropy_per_unit_of_the_contrastive_loss():
    assert point("p", "b", 4.0, 0.3).kappa == pytest.approx((1.7 - 0.5) / 4)
    assert point("p", "b", 0.0, 0.3).kappa is None
