"""PGD steps along the gradient, and with momentum along the gradients gathered so far."""

import itertools

import pytest
import torch

from rbench.attacks.pgd import pgd
from rbench.threat.ball import Ball
from rbench.threat.noise import Noise
from rbench.threat.query import Answer

FIRST, SECOND = torch.tensor([[4.0, -2.0, 2.0]]), torch.tensor([[-1.0, -0.5, 0.5]])


def points(norm, *gradients, **parameters):
    """The points asked about, in steps of 0.01 from the start."""
    attack = pgd(step_size=0.01, **parameters)
    origin = torch.full((len(gradients[0]), 1, 1, 3), 0.5)
    ball = Ball(norm, 0.4).of(origin)
    ids = torch.arange(len(origin))
    state = attack.init(origin, torch.zeros_like(ids), ball, Noise(0).of("attack", ids, ids.device))
    state = state._replace(x=origin)
    seen = [state.x]
    for gradient in gradients:
        state = attack.update(
            state, Answer(torch.zeros(len(ids), 2), torch.zeros(len(ids)), gradient.view(-1, 1, 1, 3))
        )
        seen.append(state.x)
    return [((after - before) / 0.01).flatten(1) for before, after in itertools.pairwise(seen)]


def test_two_steps_with_momentum_are_those_of_the_paper():
    """By hand: 4, -2, 2 over 8 is .5, -.25, .25; -1, -.5, .5 over 2 is -.5, -.25, .25; half of the first more: -.25, -.375, .375."""
    first, second = points("Linf", FIRST, SECOND, momentum=0.5)
    assert torch.allclose(first, torch.tensor([[1.0, -1, 1]]), atol=1e-4)
    assert torch.allclose(second, torch.tensor([[-1.0, -1, 1]]), atol=1e-4)
    _, whole = points(
        "Linf", FIRST, 0.1 * SECOND + 0.05 * FIRST, momentum=1.0
    )  # .1, -.15, .15 over .4, and .5, -.25, .25
    assert torch.allclose(whole, torch.tensor([[1.0, -1, 1]]), atol=1e-4)
    first, second = points("L2", FIRST, SECOND, momentum=0.5)
    assert torch.allclose(first, FIRST / FIRST.norm(), atol=1e-4)
    gathered = torch.tensor([[-0.25, -0.375, 0.375]])
    assert torch.allclose(second, gathered / gathered.norm(), atol=1e-4)


def test_momentum_carries_on_where_the_gradient_is_zero_and_plain_descent_stands_still():
    zero = torch.zeros(1, 3)
    assert torch.equal(points("Linf", zero, momentum=0.5)[0], zero)
    assert torch.allclose(points("L2", FIRST, zero, momentum=0.5)[1], FIRST / FIRST.norm(), atol=1e-4)
    assert torch.equal(points("L2", FIRST, zero)[1], zero)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_without_momentum_a_step_looks_at_its_own_gradient_alone(norm):
    gradients = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    _, second = points(norm, *gradients)
    (alone,) = points(norm, gradients[1])
    assert torch.allclose(second, alone, atol=1e-4)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_without_momentum_a_step_is_that_of_madry_et_al_for_any_gradient_that_float32_holds(norm, size):
    x = torch.rand(4, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    ids, ball = torch.arange(4), Ball(norm, 0.1).of(x)
    attack = pgd(steps=5)
    state = attack.init(x, ids, ball, Noise(0).of("attack", ids, ids.device))
    gradient = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)) * size
    length = gradient.double().flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    along = gradient.sign().double() if norm == "Linf" else gradient.double() / length
    expected = ball.project(state.x.double() + 2.5 * ball.radii.view(-1, 1, 1, 1) / 5 * along, x)
    found = attack.update(state, Answer(torch.zeros(4, 2), torch.zeros(4), gradient)).x
    assert torch.allclose(found, expected, rtol=0, atol=2e-7)


@pytest.mark.parametrize("momentum", [0.0, 0.75])
def test_a_sample_gathers_gradients_of_its_own(momentum):
    together = points("L2", torch.cat([FIRST, SECOND]), torch.cat([SECOND, FIRST]), momentum=momentum)
    for row, gradients in enumerate([(FIRST, SECOND), (SECOND, FIRST)]):
        alone = points("L2", *gradients, momentum=momentum)
        assert all(torch.equal(a[0], b[row]) for a, b in zip(alone, together, strict=True))
