"""What the audit says of gradients that were made to be right, wrong, shattered or found by an inner optimisation."""

import pytest
import torch
from torch import nn
from torch.autograd import grad as imported_grad

import rbench
from rbench.engine.audits import Audits
from rbench.engine.defended import DefendedModel
from rbench.engine.points import Few, loss_change
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.purifiers.identity import Identity
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

SHAPE = (1, 6, 6)
GENERATOR = torch.Generator().manual_seed(0)


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Linear(16, 5))


def images(n=8):
    x = torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1))
    return x, net()(x).argmax(1)


def seen(purifier, backbone=None, *, eps=0.03):
    x, y = images()
    model = DefendedModel(purifier, backbone or net())
    return Audits().of(model, None, sample(x, y), Noise(0), Ball("Linf", eps), len(x)).gradients


def sample(x, y):
    return Batch(x, y, torch.arange(len(x)))


def change(purifier, backbone=None):
    """What the margin changes by in the ball."""
    few = Few(sample(*images()), Noise(0), same_shape=False)
    return loss_change(DefendedModel(purifier, backbone or net()), few, Ball("Linf", 0.03))


def flags(purifier, backbone=None, **options):
    x, y = images()
    found = rbench.evaluate(backbone or net(), x, y, purifier=purifier, attack="pgd", steps=2, eps=0.03, **options)
    return {flag.name for flag in found.flags}


class Scaled(torch.autograd.Function):
    """The identity with another backward pass."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


class WrongBackward(nn.Module):
    def forward(self, x):
        return Scaled.apply(x)


class StraightThroughRounding(nn.Module):
    def forward(self, x):
        return x + ((x * 4).round() / 4 - x).detach()


class Rounding(nn.Module):
    def forward(self, x):
        return (x * 4).round() / 4


class Negative(nn.Module):
    def forward(self, x):
        return 1 - x


class OwnGenerator(nn.Module):
    """Draws inside its stages from a generator that nobody replays: the same image, another gradient."""

    stochastic = True

    def __init__(self, replayed):
        super().__init__()
        self.replayed = replayed

    def stages(self, x, noise):
        generator = torch.Generator().manual_seed(int(noise.integers(0, 2**31)[0]))
        drawn = torch.rand(3, *SHAPE, generator=generator)

        def stage(number):
            def inner(images):
                again = drawn[number] if self.replayed else torch.rand(SHAPE, generator=generator)
                return torch.sigmoid(4 * (images - again).square())

            return inner

        return [stage(number) for number in range(3)]

    def forward(self, x, *, noise):
        for stage in self.stages(x, noise):
            x = stage(x)
        return x


class Inner(nn.Module):
    """One step of an optimisation at test time."""

    def __init__(self, differentiate):
        super().__init__()
        self.differentiate = differentiate

    def forward(self, x):
        with torch.enable_grad():
            point = x if x.requires_grad else x.detach().requires_grad_()
            (slope,) = self.differentiate((point**4).sum(), point, create_graph=True)
        return (x - 0.05 * slope).clamp(0, 1)


class Unrolled(nn.Module):
    """The same step with its slope written down."""

    def forward(self, x):
        return (x - 0.05 * 4 * x**3).clamp(0, 1)


class Shattered(nn.Module):
    """Logits that swing many times within the ball."""

    def forward(self, x):
        total = x.flatten(1).sum(1, keepdim=True)
        return torch.sin(3000 * total + torch.arange(5))


@pytest.mark.parametrize("purifier", [Identity(), GaussianNoise(sigma=0.1), Unrolled(), Inner(torch.autograd.grad)])
def test_a_right_gradient_agrees_with_finite_differences_in_double_precision(purifier):
    found = seen(purifier)
    assert found.slope_precision == "float64"
    assert found.slope_error < 1e-5
    assert "wrong-gradient" not in flags(purifier)


@pytest.mark.parametrize("purifier", [WrongBackward(), StraightThroughRounding()])
def test_a_backward_pass_that_is_not_the_slope_is_a_wrong_gradient(purifier):
    assert seen(purifier).slope_error > 0.9
    assert "wrong-gradient" in flags(purifier, gradient="exact")
    assert "wrong-gradient" not in flags(purifier, gradient="bpda")


def test_flat_is_flat_both_ways():
    """Rounding has no slope and says so: its gradients are zero, which is another flag, and not wrong."""
    assert seen(Rounding()).slope_error == 0
    assert seen(Rounding()).bpda_cosine is None


def test_a_model_of_single_precision_is_compared_in_single_precision():
    class Single(nn.Module):
        def forward(self, x):
            if x.dtype != torch.float32:
                raise TypeError("float32 alone")
            return x**2

    found = seen(Single())
    assert found.slope_precision == "float32"
    assert found.slope_error < 0.02


def test_noise_of_a_private_generator_replayed_wrongly_is_found():
    assert seen(OwnGenerator(replayed=True)).checkpointed_error < 1e-5
    assert seen(OwnGenerator(replayed=False)).checkpointed_error > 0.1
    assert "wrong-gradient" in flags(OwnGenerator(replayed=False))
    assert "wrong-gradient" not in flags(OwnGenerator(replayed=True))
    assert seen(Identity()).checkpointed_error is None


def test_bpda_is_compared_with_the_gradient_that_it_stands_for():
    assert seen(Identity()).bpda_cosine == pytest.approx(1)
    assert seen(Negative()).bpda_cosine < 0.3


@pytest.mark.parametrize("differentiate", [torch.autograd.grad, imported_grad])
def test_autograd_inside_the_forward_pass_is_noticed_however_it_was_imported(differentiate):
    assert seen(Inner(differentiate)).autograd_in_forward
    assert "optimises-at-test-time" in flags(Inner(differentiate))


def test_steps_that_are_written_down_are_no_optimisation_and_nothing_stays_patched():
    before = (torch.autograd.grad, torch.autograd.backward, torch.Tensor.backward)
    assert not seen(Unrolled()).autograd_in_forward
    assert before == (torch.autograd.grad, torch.autograd.backward, torch.Tensor.backward)


def test_a_loss_that_swings_within_the_ball_is_unstable():
    assert change(Identity(), Shattered()) > 0.5
    assert change(Identity()) < 0.2
    assert "unstable" in flags(Identity(), Shattered())
    assert "unstable" not in flags(GaussianNoise(sigma=0.5))  # the same draw at every point


def test_a_gradient_that_is_not_zero_and_nowhere_of_any_size_is_tiny():
    class Faint(nn.Module):
        def forward(self, x):
            return 1e-12 * x + 0.5

    assert seen(Faint()).tiny_gradient_share == 1
    assert seen(Identity()).tiny_gradient_share == 0


def test_nothing_is_compared_where_the_same_noise_gives_another_answer():
    class Clock(WrongBackward):
        def forward(self, x):
            return super().forward(x) + 0.1 * torch.rand((), generator=GENERATOR)

    x, y = images()
    found = Audits().of(DefendedModel(Clock(), net()), None, sample(x, y), Noise(0), Ball("Linf", 0.03), 8)
    assert not found.audit.reproducible
    assert found.gradients.slope_error is None
    assert found.loss_change is None


def test_the_audit_costs_the_attack_nothing():
    x, y = images()
    model = DefendedModel(Identity(), net())
    before = model.meter.totals()
    Audits().of(model, None, sample(x, y), Noise(0), Ball("Linf", 0.03), len(x))
    assert model.meter.totals() == before
