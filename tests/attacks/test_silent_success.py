"""Third-party code that sees an image fooled and gives another one back."""

import torch
from torch import nn

import rbench
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.threat.attack import ExternalAttack


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 4))


def attack(*, keep, reach=1.0):
    """Asks about the far corner of the ball against the label, and returns it or the clean image."""

    def perturb(model, batch, ball, classes, seed):
        x, y = batch.x, batch.y
        point = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(model(point), y, reduction="sum"), point)
        moved = (x + reach * ball.eps * slope.sign()).clamp(0, 1)
        model(moved)
        return moved if keep else x

    return ExternalAttack(perturb, batch_size=8, norms=("Linf",))


def flags(purifier=None, *, eps=0.3, gradient="exact", **options):
    x = torch.rand(16, 1, 6, 6, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.3
    model = net()
    found = rbench.evaluate(
        model, x, model(x).argmax(1), purifier=purifier, attack=attack(**options), eps=eps, gradient=gradient
    )
    return {flag.name: flag.value for flag in found.flags}


def test_a_success_that_is_not_given_back_is_flagged():
    assert flags(keep=False)["silent-success"] > 0.3
    assert "silent-success" not in flags(keep=True)


def test_a_point_outside_the_ball_is_no_success():
    assert "silent-success" not in flags(keep=False, reach=20.0, eps=0.01)


def test_one_wrong_draw_of_a_random_defence_is_no_success():
    assert "silent-success" not in flags(GaussianNoise(sigma=0.3), keep=False)


def test_a_blind_attacker_has_not_seen_the_purifier():
    assert "silent-success" not in flags(keep=False, gradient="blind")
