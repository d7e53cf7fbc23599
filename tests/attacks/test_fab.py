"""FAB: closed forms, the authors' code at the same radii, and a verdict that no batch changes."""

import pytest
import torch
from problems import fooled_at, outcomes, problem, same
from pyautoattack import AutoAttack

import rbench
from rbench.attacks.fab import fab, fab_t
from rbench.engine.defended import DefendedModel
from rbench.engine.oracle import Oracle
from rbench.purifiers.identity import Identity
from rbench.testing.known_answers import linear_problem
from rbench.threat.ball import Ball, distance
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

RADII = {"Linf": 0.012, "L2": 0.08, "L1": 0.5}
ATTACKS = {"fab": fab, "fab-t": fab_t}
norms = pytest.mark.parametrize("norm", list(RADII))
FURTHER = [("fab", 1.5), ("fab-t", 0.7), ("fab-t", 1.5)]
"""Radii at which the two are held against the authors' code in the soak, in multiples of those above."""
both = pytest.mark.parametrize("name", list(ATTACKS))


@norms
@both
def test_a_linear_classifier_falls_at_the_distance_of_the_nearest_class_and_not_below(name, norm):
    model, x, y, far = linear_problem(32, norm=norm, classes=5)
    attack = ATTACKS[name](steps=20)
    assert fooled_at(attack, model, x, y, norm, far * 1.01).all()
    assert not fooled_at(attack, model, x, y, norm, far * 0.99).any()


@norms
@pytest.mark.parametrize(
    ("name", "times"),
    [("fab", 1), ("fab-t", 1), *(pytest.param(*more, marks=pytest.mark.soak) for more in FURTHER)],
)
def test_it_fools_as_many_as_the_authors_code(name, times, norm):
    model, x, y = problem(100)
    eps = times * RADII[norm]
    ours = rbench.evaluate(model, x, y, attack=ATTACKS[name](steps=100), norm=norm, eps=eps).samples["robust"].sum()
    with torch.random.fork_rng():
        adversary = AutoAttack(model, norm=norm, eps=eps, seed=0, version="custom", attacks=[name])
        adversary.fab.n_restarts = 1
        points, _ = adversary.run_standard_evaluation(x, y, batch_size=100)
    theirs = int((model(points).argmax(1) == y).sum())
    assert 0 < theirs < 100
    assert ours <= theirs + 1


@norms
def test_the_nearest_border_is_that_of_the_smallest_margin_over_its_slope(norm):
    model, x, y, _ = linear_problem(8, norm=norm, classes=5)
    oracle = Oracle(DefendedModel(Identity(), model), "exact", eot=1, noise=Noise(0))
    answer = oracle.nearest(Batch(x, y, torch.arange(8)), torch.zeros(8, dtype=torch.int64), norm)
    flat = x.flatten(1).requires_grad_()
    slopes = torch.autograd.functional.jacobian(lambda rows: model(rows.view_as(x)).sum(0), flat).transpose(0, 1)
    dual = {"Linf": 1, "L2": 2, "L1": torch.inf}[norm]
    logits = model(x).detach()
    for row in range(8):
        others = [k for k in range(logits.shape[1]) if k != int(y[row])]
        ways = [slopes[row, k] - slopes[row, y[row]] for k in others]
        margins = [logits[row, k] - logits[row, y[row]] for k in others]
        best = min(range(len(others)), key=lambda i: float(margins[i].abs() / ways[i].norm(p=dual)))
        assert torch.allclose(answer.gradient[row].flatten(), ways[best], atol=1e-6)
        assert float(answer.loss[row]) == pytest.approx(float(margins[best]), abs=1e-5)


@norms
@pytest.mark.parametrize("classes", [3, 10])
def test_the_first_start_toward_every_class_is_the_clean_image_and_later_ones_are_random_at_half_the_radius(
    norm, classes
):
    _, x, y = problem(6, classes=classes)
    attack, ball = fab_t(restarts=2).fit(classes), Ball(norm, 0.01).of(x)
    asked = [
        attack.begin(run)(x, y, ball, Noise(0).of("attack", torch.arange(6), x.device, draw=run)).x
        for run in range(attack.runs)
    ]
    assert attack.runs == 2 * (classes - 1)
    assert all(torch.equal(start, x) for start in asked[: classes - 1])
    for start in asked[classes - 1 :]:
        assert torch.allclose(distance(start, x, norm), torch.full((6,), 0.005, dtype=torch.float64), rtol=1e-3)


@norms
@both
def test_neither_batch_nor_order_changes_a_verdict(name, norm):
    model, x, y = problem(48, side=6)
    attack, common = ATTACKS[name](steps=8), {"norm": norm, "eps": RADII[norm]}
    first = outcomes(attack, model, x, y, batch_size=32, **common)
    order = torch.randperm(48, generator=torch.Generator().manual_seed(2))
    assert same(first, outcomes(attack, model, x, y, batch_size=16, order=order, **common))
    assert first["queries"].unique().numel() > 1, "samples leave at different times"


@both
def test_nothing_beyond_the_ball_is_proposed_though_fab_searches_there(name):
    model, x, y = problem(20)
    found = rbench.evaluate(model, x, y, attack=ATTACKS[name](steps=10), eps=1e-4)
    assert found.robust_accuracy.value >= 0.9
    assert bool(Ball("Linf", 1e-4).contains(found.adversarial, x).all())
