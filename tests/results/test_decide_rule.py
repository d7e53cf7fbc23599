"""Draws become one value of a sample by the rule that the cell states."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbench.results.decide import decided


def value(predictions, label, rule):
    return decided(np.array(predictions), np.array(label), rule).tolist()


@pytest.mark.parametrize(
    ("predictions", "mean", "majority", "any_"),
    [
        ([2, 2, 2, 2], 1.0, 1.0, 1.0),
        ([2, 2, 2, 0], 0.75, 1.0, 0.0),
        ([2, 1, 2, 1], 0.5, 0.0, 0.0),  # a tie goes to the lowest class, here a wrong one
        ([2, 3, 2, 3], 0.5, 1.0, 0.0),  # and here the right one
        ([2, 0, 1, 2], 0.5, 1.0, 0.0),  # the most frequent class needs no half of the votes
        ([0, 0, 2, 1], 0.25, 0.0, 0.0),
        ([1, 1, 1, 1], 0.0, 0.0, 0.0),
    ],
)
def test_draws_become_a_verdict_by_the_rule(predictions, mean, majority, any_):
    for rule, expected in (("mean", mean), ("majority", majority), ("any", any_)):
        assert value([predictions], [2], rule) == [expected]


def test_a_label_above_every_prediction_is_simply_wrong():
    for rule in ("mean", "majority", "any"):
        assert value([[0, 1, 0]], [9], rule) == [0.0]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=1, max_size=6), st.integers(0, 4))
def test_one_wrong_draw_is_never_kinder_than_the_mean_and_more_than_half_is_a_majority(rows, label):
    mean, majority, worst = (np.array(value(rows, [label] * len(rows), rule)) for rule in ("mean", "majority", "any"))
    assert (worst <= mean).all()
    assert (worst <= majority).all()
    assert (majority[mean > 0.5] == 1).all()
    assert (majority[mean == 0] == 0).all()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_the_order_of_the_draws_does_not_matter(row, shuffler):
    turned = list(row)
    shuffler.shuffle(turned)
    for rule in ("mean", "majority", "any"):
        assert value([row], [1], rule) == value([turned], [1], rule)
