"""The driver on attacks whose every step is known beforehand."""

from typing import NamedTuple

import pytest
import torch
from torch import nn

import rbench
from rbench.engine.defended import DefendedModel
from rbench.engine.driver import Driver
from rbench.engine.judge import Judge
from rbench.engine.kept import FirstFooled, HighestLoss
from rbench.engine.oracle import Oracle
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.purifiers.identity import Identity
from rbench.threat.attack import IterativeAttack
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

STRIDE = 0.01


class Climb(NamedTuple):
    x: torch.Tensor


class Threshold(nn.Module):
    """Says 1, the wrong class, as soon as the second pixel is above the first. Every image it sees is recorded."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.extend(round(v, 4) for v in x.detach()[:, 0, 0, 0].tolist())
        lead = x[:, 0, 0, 1] - x[:, 0, 0, 0]
        return torch.stack([torch.zeros_like(lead), lead], 1)


def climbing(steps, *, restarts=1, head_starts=(0.0,)):
    """Raises the second pixel by STRIDE a step; restart r begins `head_starts[r]` higher."""

    def init(x, y, threat, noise):
        moved = x.clone()
        moved[:, 0, 0, 1] += head_starts[noise.draw]
        return Climb(moved)

    def update(state, answer):
        return Climb(state.x + torch.tensor([0.0, STRIDE]))

    return IterativeAttack(init, update, steps=steps, norms=("Linf",), restarts=restarts)


def falling_at(*steps):
    """Images of class 0 that fall after exactly so many steps of `climbing`; the first pixel tells them apart."""
    x = torch.zeros(len(steps), 1, 1, 2)
    for row, step in enumerate(steps):
        x[row, 0, 0, 0] = 0.5 + row / 1000
        x[row, 0, 0, 1] = x[row, 0, 0, 0] - (step - 0.5) * STRIDE
    return x, torch.zeros(len(steps), dtype=torch.int64), torch.arange(100, 100 + len(steps))


def run(attack, problem, *, model=None, batch_size=4, blind=False, attacked=None):
    x, y, ids = problem
    defended, noise, clean = DefendedModel(Identity(), model or Threshold()), Noise(0), Batch(x, y, ids)
    judge = Judge(defended, Ball("Linf", 1.0), 1, 1, "mean", noise, batch_size, random=False)
    oracle = Oracle(defended, "blind" if blind else "exact", eot=1, noise=noise)
    done = []
    driver = Driver(attack, oracle, judge.ball, noise, batch_size, on_done=done.append)
    attacked = torch.ones(len(x), dtype=torch.bool) if attacked is None else attacked
    found = driver.run(clean, attacked, HighestLoss(clean) if blind else FirstFooled(judge, clean))
    assert sum(done) == len(x), "every sample is reported done once"
    return found, defended


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_a_sample_is_asked_until_it_falls_and_never_again(batch_size):
    steps = (1, 2, 5, 6, 7, 1, 30)
    problem = falling_at(*steps)
    found, _ = run(climbing(6), problem, batch_size=batch_size)
    # One query of the start and one after every step; whoever has not fallen after 6 steps has had them all.
    assert found.queries.tolist() == [min(step, 6) + 1 for step in steps]
    fooled = Threshold()(found.x).argmax(1) == 1
    assert fooled.tolist() == [step <= 6 for step in steps]
    expected = problem[0][:, 0, 0, 1] + torch.tensor([step * STRIDE for step in (1, 2, 5, 6, 6, 1, 6)])
    assert torch.allclose(found.x[:, 0, 0, 1], expected, atol=1e-6)


def test_the_model_is_shown_a_sample_as_often_as_the_driver_says():
    model, problem = Threshold(), falling_at(2, 9, 9)
    found, defended = run(climbing(5), problem, model=model, batch_size=3)
    assert found.queries.tolist() == [3, 6, 6]
    assert defended.meter.queries == 15
    # The judge looks once at the one that falls; a single image is shown twice.
    assert [model.seen.count(round(float(row[0, 0, 0]), 4)) for row in problem[0]] == [3 + 2, 6, 6]


def test_only_survivors_are_restarted_and_a_later_restart_can_succeed():
    steps = (3, 5, 8, 20)
    found, _ = run(climbing(5, restarts=3, head_starts=(0.0, 0.04, 0.06)), falling_at(*steps))
    # The second falls with its last step. The third needs 8 steps: 5 do not reach, 5 after a head start of 4 do, at the fourth of them.
    assert found.queries.tolist() == [4, 6, 6 + 5, 6 + 6 + 6]
    assert (Threshold()(found.x).argmax(1) == 1).tolist() == [True, True, True, False]


def test_survivors_cost_one_gradient_a_step_and_one_forward_at_the_end():
    problem = falling_at(50, 50, 50)
    found, defended = run(climbing(7), problem)
    assert found.queries.tolist() == [8, 8, 8]
    assert not found.claimed.any()
    assert defended.meter.totals() == {"forwards": 24, "backwards": 21, "purifier_passes": 24, "queries": 24}


def test_pgd_end_to_end_costs_steps_plus_one_and_the_passes_of_audit_and_judge():
    """Two lengths of one attack differ by exactly the extra steps; no sample falls."""
    x = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    y = model(x).argmax(1)
    short, long = (rbench.evaluate(model, x, y, attack="pgd", steps=steps, eps=1e-6) for steps in (3, 10))
    assert short.samples["queries"].tolist() == [4] * 6
    assert long.samples["queries"].tolist() == [11] * 6
    assert {name: long.cost[name] - short.cost[name] for name in long.cost} == {
        "forwards": 42, "backwards": 42, "purifier_passes": 42, "queries": 42
    }  # fmt: skip
    assert short.cost["queries"] == 24
    assert short.cost["backwards"] == 3 * 6


class Hill(nn.Module):
    """The loss is highest where the second pixel is at 0.53; never fooled."""

    def forward(self, x):
        height = -((x[:, 0, 0, 1] - 0.53) ** 2)
        return torch.stack([5 - height, height], 1)


@pytest.mark.parametrize("blind", [True, False])
def test_the_best_point_on_the_way_is_proposed_not_the_last(blind):
    x = torch.full((3, 1, 1, 2), 0.5)
    problem = x, torch.zeros(3, dtype=torch.int64), torch.arange(3)
    found, _ = run(climbing(8), problem, model=Hill(), blind=blind)
    assert torch.allclose(found.x[:, 0, 0, 1], torch.full((3,), 0.53), atol=1e-6)
    assert bool((found.loss_last > found.loss_first).all())
    best = nn.functional.cross_entropy(Hill()(found.x), problem[1], reduction="none")
    assert torch.allclose(found.loss_last, best)


def test_a_blind_attack_learns_nothing_from_the_judge_and_takes_all_its_steps():
    found, defended = run(climbing(6), falling_at(1, 2, 30), blind=True)
    assert found.queries.tolist() == [7, 7, 7]
    assert defended.meter.forwards == 21, "a blind attacker asked the judge"
    assert not found.claimed.any()


def test_a_sample_that_need_not_be_attacked_is_left_alone():
    problem = falling_at(3, 3, 3)
    found, _ = run(climbing(6), problem, attacked=torch.tensor([True, False, True]))
    assert found.queries.tolist() == [4, 0, 4]
    assert torch.equal(found.x[1], problem[0][1])
    assert found.loss_first.isnan().tolist() == [False, True, False]


def test_nothing_to_attack_is_no_error():
    found, defended = run(climbing(6), falling_at(3, 3), attacked=torch.zeros(2, dtype=torch.bool))
    assert defended.meter.queries == 0
    assert found.queries.tolist() == [0, 0]


class Flat(nn.Module):
    """Follows the image where the first pixel is above one half, and nowhere else."""

    def forward(self, x):
        slope = torch.relu(x[:, 0, 0, 0] - 0.5) * x[:, 0, 0, 1]
        return torch.stack([slope + 1, slope * 0], 1)


def test_zero_gradients_are_counted_and_remembered_from_the_start():
    x = torch.tensor([[0.6, 0.5], [0.4, 0.5]]).view(2, 1, 1, 2)
    found, _ = run(climbing(5), (x, torch.zeros(2, dtype=torch.int64), torch.arange(2)), model=Flat())
    assert found.zero_gradients.tolist() == [0, 5]
    assert found.zero_at_start.tolist() == [False, True]


# --- the batch is a matter of speed only --------------------------------------------------------------------------


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.Tanh(), nn.Linear(16, 5))


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize(
    ("purifier", "budget", "sizes", "times"),
    [
        (None, {"steps": 5, "restarts": 2}, (2, 3, 16, 64), 3),
        (GaussianNoise(sigma=0.05), {"steps": 20, "eot": 8, "select_draws": 16}, (3, 16), 1),
    ],
    ids=["deterministic", "random"],
)
def test_refilling_and_compaction_change_no_verdict(purifier, budget, sizes, times, norm):
    x = torch.rand(20, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    y = net()(x).argmax(1)
    y[::7] = (y[::7] + 1) % 5
    eps = {"Linf": 0.03, "L2": 0.15}[norm]
    found = [
        rbench.evaluate(net(), x, y, purifier=purifier, attack="pgd", eps=eps, norm=norm, batch_size=size, **budget)
        for size in sizes
    ]
    assert len({f.result_hash for f in found}) == 1
    assert all(f.samples["queries"].tolist() == found[0].samples["queries"].tolist() for f in found)
    assert 0.1 < found[0].robust_accuracy.value < found[0].standard_accuracy.value - 0.1
    assert found[0].samples["queries"].nunique() > times, "samples leave at different times"


def test_the_order_of_the_samples_changes_no_verdict_of_a_deterministic_model():
    x = torch.rand(20, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    y = net()(x).argmax(1)
    one = rbench.evaluate(net(), x, y, attack="fgsm", eps=0.03)
    turned = rbench.evaluate(net(), x.flip(0), y.flip(0), attack="fgsm", eps=0.03, batch_size=3)
    assert one.samples["robust"].tolist() == turned.samples["robust"].tolist()[::-1]
    assert 0 < one.robust_accuracy.value < 1


def test_noise_takes_as_many_tries_as_it_is_given_and_asks_no_gradient():
    x = torch.rand(8, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    y = net()(x).argmax(1)
    found = rbench.evaluate(net(), x, y, attack="noise", tries=5, eps=1e-6)
    assert found.samples["queries"].tolist() == [5] * 8
    assert found.cost["backwards"] == 0
