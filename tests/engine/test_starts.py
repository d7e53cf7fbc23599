"""Starts of an attack: which comes next, and that several of one sample at a time change nothing but the time."""

import pytest
import torch
from test_driver import climbing, falling_at, run

from rbench.engine.slots import Start
from rbench.engine.starts import Starts


def names(starts):
    return [f"{start.row}{'abc'[start.run]}" for start in starts]


def test_first_starts_come_first_and_a_later_one_when_the_one_before_has_ended():
    starts = Starts([0, 1, 2], 3, together=False)
    assert names(starts.take(2, 0, 8)) == ["0a", "1a"]
    starts.ended(Start(0, 0), fooled=False)
    assert names(starts.take(9, 1, 9)) == ["2a", "0b"]
    assert names(starts.take(9, 3, 9)) == [], "one start of a sample at a time"


def test_free_places_are_filled_with_later_starts_only_when_no_first_one_waits():
    starts = Starts([0, 1], 3, together=True)
    assert names(starts.take(1, 0, 8)) == ["0a"]
    assert names(starts.take(8, 1, 5)) == ["1a", "0b", "1b", "0c"]
    assert names(starts.take(8, 5, 8)) == ["1c"]


def test_a_start_counts_after_those_before_it_and_makes_those_after_it_needless():
    starts = Starts([7], 3, together=True)
    first, second, third = starts.take(3, 0, 3)
    starts.ended(second, fooled=True)
    assert [starts.needless(one) for one in (first, second, third)] == [False, False, True]
    assert [starts.counts(one) for one in (first, second)] == [True, False]
    starts.ended(first, fooled=False)
    assert not starts.count(first)
    assert starts.counts(second)
    assert starts.count(second), "its last: the third is not needed"
    assert starts.needless(third)


def test_a_sample_that_an_early_start_fools_after_all_has_no_later_one():
    starts = Starts([7], 2, together=True)
    first, second = starts.take(2, 0, 2)
    starts.ended(second, fooled=True)
    starts.ended(first, fooled=True)
    assert starts.needless(second)
    assert starts.count(first)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 64])
def test_the_outcome_is_that_of_one_start_after_another(batch_size):
    # The first falls late in its first start and at once in the third, which runs at the same time where there is room for it.
    attack = climbing(6, restarts=4, head_starts=(0.0, 0.0, 0.05, 0.1))
    steps = (6, 8, 16, 2, 30)
    found, _ = run(attack, falling_at(*steps), batch_size=batch_size)
    assert found.queries.tolist() == [7, 7 + 7 + 4, 7 + 7 + 7 + 7, 3, 28]
    assert found.claimed.tolist() == [True, True, True, True, False]
    moved = found.x[:, 0, 0, 1] - falling_at(*steps)[0][:, 0, 0, 1]
    assert torch.allclose(moved, torch.tensor([0.06, 0.08, 0.16, 0.02, 0.16]), atol=1e-6)


def test_a_start_that_an_earlier_one_has_made_needless_stops_at_once():
    # Both run together; the second would need all its steps, the first succeeds after two.
    _, defended = run(climbing(40, restarts=2, head_starts=(0.0, -0.1)), falling_at(2), batch_size=2)
    assert defended.meter.queries == 2 * 3
