"""What the bench counts: passes against those that are needed, and time against that of the passes alone."""

from collections import Counter

import pytest
import torch
from torch import nn

from bench.attacks import Own, Side, own, readied
from bench.budgets import Budget
from bench.counting import Counting, median_ratio, needed, over, replayed
from bench.models import Model
from bench.radii import found
from rbench.attacks.apgd import apgd
from rbench.attacks.fab import fab, fab_t
from rbench.attacks.pgd import pgd
from rbench.attacks.square import square
from rbench.purifiers.identity import Identity
from rbench.threat.batch import Batch


class Watch:
    """A clock that stands still until someone works."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Working(nn.Module):
    """Takes a second an image."""

    def __init__(self, watch):
        super().__init__()
        self.watch = watch

    def forward(self, x):
        self.watch.now += len(x)
        return x.flatten(1)


@pytest.mark.parametrize(
    ("attacks", "queries", "fooled", "passes"),
    [
        ([pgd(steps=3)], 4, False, 3 * 2 + 1),
        ([pgd(steps=3)], 4, True, 3 * 2 + 1),
        ([pgd(steps=3)], 2, True, 2 + 1),
        ([pgd(steps=3)], 1, True, 1),
        ([pgd(steps=3, restarts=2)], 8, False, 2 * 7),
        ([pgd(steps=3, restarts=2)], 5, True, 7 + 1),
        ([apgd(steps=3, loss="dlr-targeted", targets=2)], 9, False, 1 + 2 * 7),
        ([square(queries=50)], 50, False, 50),
        ([square(queries=50)], 7, True, 7),
        ([fab_t(steps=3, targets=2)], 13, False, 1 + 2 * (3 * 3)),
        ([fab(steps=2)], 4, False, 2 * (18 + 1)),
        ([pgd(steps=3), square(queries=5)], 9, False, 7 + 5),
        ([pgd(steps=3), square(queries=5)], 6, True, 7 + 2),
        ([pgd(steps=3)], 0, False, 0),
    ],
)
def test_a_sample_needs_the_passes_up_to_the_query_that_fools_it(attacks, queries, fooled, passes):
    assert needed(attacks, queries, classes=10, fooled=fooled) == passes


def test_a_pass_with_a_gradient_is_two_an_image():
    model, x = Counting(nn.Flatten()), torch.rand(3, 1, 2, 2)
    model(x)
    model(x.clone().requires_grad_())
    with torch.no_grad():
        model(x[:2].clone().requires_grad_())
    assert model.seen == {(3, False): 1, (3, True): 1, (2, False): 1}
    assert model.passes() == 3 + 6 + 2


def test_the_passes_alone_are_those_of_the_same_sizes():
    watch = Watch()
    seen = Counter({(3, False): 5, (8, True): 2})
    assert replayed(Working(watch), seen, torch.rand(4, 1, 2, 2), watch) == 3 * 5 + 8 * 2


def test_overhead_is_time_over_that_of_the_passes_alone():
    watch = Watch()
    model = Working(watch)
    counting = Counting(model)

    def run():
        for _ in range(4):
            counting(torch.rand(3, 1, 2, 2))
        watch.now += 3
        return torch.zeros(3)

    side = Side(run, ((counting, model),))
    for _ in range(2):  # the second run counts for itself
        taken = side.take(torch.rand(3, 1, 2, 2), watch)
        assert (taken.seconds, taken.alone, taken.passes) == (15, 12, 12)
    assert over(taken.seconds, taken.alone) == 1.25


def test_a_ratio_is_the_median_of_pairs_and_not_the_ratio_of_medians():
    assert median_ratio([2, 30, 4], [1, 10, 4]) == 2
    with pytest.raises(ValueError, match="shorter"):
        median_ratio([1, 2], [1])


def test_nothing_spent_where_nothing_is_needed_is_no_waste():
    assert over(0, 0) == 1
    assert over(3, 0) == float("inf")


@pytest.mark.parametrize(
    ("attack", "least", "spent"),
    [
        # Both images with a gradient; the fooled one for the judge, as two; the other as two, four times with and once without a gradient.
        ("pgd", (2 * 5 + 1) + 1, 2 * 2 + 2 + 4 * (2 * 2) + 2),
        ("square", 5 + 1, 2 + 2 + 4 * 2),
    ],
)
def test_what_rbench_spends_is_counted_with_what_the_judge_is_shown(attack, least, spent):
    """One image survives; the other is fooled wherever it is moved, so its first query is its last. A lone image is shown twice."""
    linear = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0] * 4, [-1.0] * 4]))
    net = nn.Sequential(nn.Flatten(), Below(), linear)
    x = torch.stack([torch.full((1, 2, 2), 0.9), torch.full((1, 2, 2), 0.3)])
    model = Model("two", Identity(), net, Batch(x, torch.zeros(2, dtype=torch.int64), torch.arange(2)))
    ours = Own(readied(model, own(attack, Budget(pgd=5, queries=5)), 0.05), model.clean)
    taken = ours.side.take(x, Watch())
    fooled = net(taken.points).argmax(1) != 0
    assert fooled.tolist() == [False, True]
    assert ours.needed(fooled) == least
    assert taken.passes == spent


class Below(nn.Module):
    """Turns images over that are not exactly 0.3 but near it."""

    def forward(self, x):
        near = ((x - 0.3).abs() < 0.1).all(1, keepdim=True) & ((x - 0.3).abs() > 1e-4).any(1, keepdim=True)
        return torch.where(near, -x, x)


def test_a_radius_is_found_by_halving():
    asked = []

    def survive(eps):
        asked.append(eps)
        return max(0.0, 1 - eps / 0.1)

    assert found(0.3, survive, (1e-4, 0.5), halvings=20) == pytest.approx(0.07)
    assert len(asked) == 20
    assert found(0.0, survive, (1e-4, 0.5), halvings=20) == pytest.approx(0.14), "a little above where nothing is left"
