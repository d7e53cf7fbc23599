"""An attack that was stopped too early is caught by doubling it, and one that does not work by forbidding it nothing."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from rbench.attacks.fgsm import fgsm
from rbench.attacks.pgd import begin, pgd
from rbench.engine.convergence import converge
from rbench.engine.defended import DefendedModel
from rbench.engine.setup import Protocol, set_up
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.purifiers.identity import Identity
from rbench.testing.known_answers import ConstantClassifier, linear_problem
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch


def found(model, x, y, attack, *, purifier=None, remake=None, norm="Linf", eps=0.1, **protocol):
    ids = torch.arange(len(x))
    defended = DefendedModel(purifier or Identity(), model)
    setup = set_up(defended, attack, Protocol(Ball(norm, eps), **protocol), Batch(x, y, ids))
    return converge(
        setup,
        remake or (lambda changes: pgd(**{"steps": attack.steps, "step_size": 0.005, **changes})),
        Batch(x, y, ids),
    )


def linear():
    problem = linear_problem(40, norm="Linf")
    return problem.model, problem.x, problem.y, float(problem.distance.max())


def names(convergence):
    return {flag.name for flag in convergence.flags}


def test_an_attack_too_short_for_its_step_is_not_converged():
    model, x, y, far = linear()
    short = {"steps": 4, "step_size": far / 8}
    seen = found(model, x, y, pgd(**short), eps=1.05 * far, remake=lambda changes: pgd(**{**short, **changes}))
    assert seen.converged is False
    flag = next(flag for flag in seen.flags if flag.name == "not-converged")
    assert flag.value > 0.01
    assert "twice the steps" in flag.detail
    assert "weaker-with-more" not in names(seen)
    assert "unbounded-survivors" not in names(seen)  # without a ball it takes the steps that it would then take


def test_an_attack_that_finds_the_optimum_is_converged_and_nothing_stands_without_a_ball():
    model, x, y, far = linear()
    seen = found(model, x, y, pgd(steps=40), eps=1.2 * far, remake=lambda changes: pgd(**{"steps": 40, **changes}))
    assert seen.converged is True
    assert names(seen) == set()
    free = next(part for part in seen.parts if part.what == "eps")
    assert free.eps == 1
    assert free.standing == 0


def test_an_attack_that_does_worse_with_more_is_weaker_with_more():
    """With twice the steps this one goes the other way."""
    model, x, y, far = linear()
    turned = replace(pgd(steps=8), init=lambda x, y, ball, noise: begin(x, x, ball, -ball.radii))
    seen = found(
        model, x, y, pgd(steps=4), eps=1.2 * far, remake=lambda changes: turned if "steps" in changes else None
    )
    assert seen.converged is False
    flag = next(flag for flag in seen.flags if flag.name == "weaker-with-more")
    assert flag.value > 0.5
    assert "twice the steps" in flag.detail


def test_the_curve_ends_in_the_budget_of_the_cell_and_falls():
    model, x, y, far = linear()
    seen = found(model, x, y, pgd(steps=12), eps=far, remake=lambda changes: pgd(**{"steps": 12, **changes}))
    steps = [part.steps for part in seen.parts if part.what in ("curve", "budget")]
    assert steps == [1, 2, 5, 10, 12]
    accuracy = [part.robust_accuracy for part in seen.parts if part.what in ("curve", "budget")]
    assert accuracy[0] >= accuracy[-1]
    restarts = next(part for part in seen.parts if part.what == "restarts")
    assert (restarts.steps, restarts.restarts) == (12, 2)


@pytest.mark.parametrize(("norm", "radius"), [("Linf", 1.0), ("L2", 8.0)])
def test_a_constant_classifier_has_survivors_when_nothing_is_forbidden(norm, radius):
    x = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    y = torch.zeros(8, dtype=torch.int64)
    seen = found(
        ConstantClassifier(), x, y, pgd(steps=3), norm=norm, remake=lambda changes: pgd(**{"steps": 3, **changes})
    )
    assert "unbounded-survivors" in names(seen)
    assert next(part for part in seen.parts if part.what == "eps").eps == pytest.approx(radius)


def test_draws_are_doubled_where_the_defence_is_random_and_nowhere_else():
    model, x, y, far = linear()
    budgets = {
        "fresh": found(model, x, y, pgd(steps=5), purifier=GaussianNoise(sigma=0.05), eot=3, draws=2, eps=far),
        "none": found(model, x, y, pgd(steps=5), eot=3, eps=far),
    }
    drawn = [part for part in budgets["fresh"].parts if part.what == "eot"]
    assert [part.eot for part in drawn] == [6]
    assert not [part for part in budgets["none"].parts if part.what == "eot"]


def test_what_has_no_steps_is_left_alone_and_has_no_verdict_where_nothing_was_doubled():
    model, x, y, far = linear()
    seen = found(model, x, y, fgsm(), eps=far, remake=lambda changes: None)
    assert seen.converged is None
    assert [part.what for part in seen.parts] == ["budget", "eps"]


def test_a_blind_attack_is_not_asked_what_it_could_do_without_a_ball():
    model, x, y, far = linear()
    seen = found(model, x, y, pgd(steps=3), gradient="blind", eps=far, purifier=nn.Flatten(2, 2))
    assert "eps" not in {part.what for part in seen.parts}
