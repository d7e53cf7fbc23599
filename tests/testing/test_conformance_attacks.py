"""An attack with one fault fails the property that is about it."""

from typing import NamedTuple

import pytest
import torch

from rbench.attacks.loading import load_attack
from rbench.attacks.pgd import pgd
from rbench.testing.attacks import examine
from rbench.testing.conformance import check_made
from rbench.testing.subject import Subject
from rbench.threat.attack import ExternalAttack, IterativeAttack
from rbench.threat.ball import Ball


class State(NamedTuple):
    x: torch.Tensor
    origin: torch.Tensor
    ball: Ball


def attack(init=None, update=None, **facts):
    """Gradient steps, with another beginning or another step."""

    def begin(x, y, ball, noise):
        return State(x, x, ball)

    def step(state, answer):
        moved = state.x + 0.05 * answer.gradient.sign()
        return state._replace(x=state.ball.project(moved, state.origin))

    return IterativeAttack(init or begin, update or step, **{"steps": 4, "norms": ("Linf",), **facts})


def around(perturb, **facts):
    return ExternalAttack(perturb, 8, ("Linf",), **facts)


def behind(module, batch, ball, classes, seed):
    """Asks the classifier past the oracle."""
    x = batch.x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(module.model.backbone(x).gather(1, batch.y[:, None]).sum(), x)
    return ball.project(batch.x - float(ball.eps) * gradient.sign(), batch.x)


def in_place(module, batch, ball, classes, seed):
    return batch.x.add_(1)


FAULTS = {
    "ball (Linf)": attack(update=lambda state, answer: state._replace(x=(state.x + 0.3).clamp(0, 1))),
    "moves": attack(update=lambda state, answer: state),
    "oracle": around(behind),
    "knows": attack(knows="black-box"),
    "determinism": attack(init=lambda x, y, ball, noise: State(ball.project(x + torch.rand_like(x) - 0.5, x), x, ball)),
    "batches": attack(
        init=lambda x, y, ball, noise: State(x, x, ball),
        update=lambda state, answer: state._replace(
            x=state.ball.project(state.x + (0.05 if len(state.x) > 3 else 1e-6) * answer.gradient.sign(), state.origin)
        ),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_nothing_else_is(fault):
    found = check_made("attack", FAULTS[fault], images=4)
    assert found.failed == (fault,), found.text()


def test_an_attack_whose_steps_change_nothing_is_found():
    made = Subject(
        "attack", "still", pgd(steps=3), remake=lambda changes: pgd(steps=3), parameters=frozenset({"steps"}), images=4
    )
    assert [one.property for one in examine(made)[1] if one.outcome == "fails"] == ["steps"]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("pgd", {"steps": 5}),
        ("latent", {"steps": 3}),
        ("square", {"queries": 20}),
        ("adaptive", {"steps": 2, "queries": 10}),
    ],
)
def test_an_honest_attack_fails_nothing(name, params):
    found = check_made("attack", load_attack(name, params), images=4)
    assert not found.failed, found.text()


def test_what_is_no_attack_is_told_so():
    assert check_made("attack", pgd).failed == ("type",)
