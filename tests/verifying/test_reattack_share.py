"""What attacking k survivors again says about all of them."""

import pytest
from scipy.stats import binom

from rbench.verifying.survivors import false_share


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
