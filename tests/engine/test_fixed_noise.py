"""Noise that is fixed and known: one draw for every image, whoever asks."""

import pytest
import torch
from torch import nn

import rbench
from rbench.engine.defended import DefendedModel
from rbench.engine.fixed_noise import FixedNoise
from rbench.errors import InputError
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.running.components import make
from rbench.threat.noise import Noise

IDS = torch.arange(4)


class Steps(nn.Module):
    """Brings everything that a purifier may bring."""

    stochastic = True

    def stages(self, x, noise):
        draws = [noise.normal(*x.shape[1:]) for _ in range(2)]
        return [lambda images, d=draw: (images + 0.1 * d).sigmoid() for draw in draws]

    def forward(self, x, *, noise):
        for stage in self.stages(x, noise):
            x = stage(x)
        return x

    def surrogate(self, x, *, noise):
        return x + noise.normal(*x.shape[1:])

    def encode(self, x):
        return x.flatten(1)

    def attach(self, backbone):
        self.attached = (backbone,)


def images():
    return torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(0))


def draw(purifier, role, seed=3, **more):
    return purifier(images(), noise=Noise(seed).of(role, IDS, torch.device("cpu"), **more))


def test_every_role_draw_call_and_rung_meets_the_same_noise():
    fixed = make("purifier", "gaussian-noise", {"sigma": 0.2, "noise": "fixed"})
    first = draw(fixed, "defence")
    assert torch.equal(first, draw(fixed, "score", draw=5))
    assert torch.equal(first, draw(fixed, "select", calls=torch.full((4,), 7)))
    assert torch.equal(first, draw(fixed, "defence", seed=3 + (9 << 32)))
    assert not torch.equal(first, draw(fixed, "defence", seed=4))


def test_every_sample_has_its_own_draw_wherever_it_stands_in_the_batch():
    fixed, x = FixedNoise(GaussianNoise(sigma=0.2)), torch.full((2, 1, 5, 5), 0.5)
    ids = torch.tensor([5, 9])
    there = fixed(x, noise=Noise(0).of("score", ids, x.device))
    back = fixed(x, noise=Noise(0).of("score", ids.flip(0), x.device))
    assert not torch.equal(there[0], there[1])
    assert torch.equal(there, back.flip(0))


def test_a_purifier_keeps_what_it_brings_and_gets_nothing_more():
    backbone = nn.Flatten()
    whole, bare = (
        DefendedModel(FixedNoise(Steps()), backbone),
        DefendedModel(FixedNoise(GaussianNoise(sigma=0.1)), backbone),
    )
    assert whole.staged
    assert whole.encodes
    assert whole.surrogate is not None
    assert whole.purifier.purifier.attached == (backbone,)
    assert not bare.staged
    assert not bare.encodes
    assert bare.surrogate is None
    x, noise = images(), Noise(1).of("defence", IDS, torch.device("cpu"), draw=2)
    assert torch.equal(whole.purify(x, noise), whole.purify_checkpointed(x, Noise(1).of("score", IDS, x.device)))
    first = whole.surrogate(x, Noise(1).of("defence", IDS, x.device, draw=1))
    assert torch.equal(first, whole.surrogate(x, Noise(1).of("score", IDS, x.device)))


def test_it_is_judged_as_the_deterministic_defence_that_it_is():
    x = images()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = nn.Sequential(nn.Flatten(), nn.Linear(25, 3))
    found = rbench.evaluate(
        backbone, x, backbone(x).argmax(1), purifier=FixedNoise(GaussianNoise(sigma=0.3)), attack="pgd", eot=4
    )
    assert not found.audit["random"]
    assert "randomised" not in found.flag_names


def test_a_purifier_that_takes_no_noise_has_none_to_fix():
    with pytest.raises(InputError, match="nothing to fix"):
        make("purifier", "jpeg", {"noise": "fixed"})
    assert not isinstance(make("purifier", "gaussian-noise", {"noise": "fresh"}), FixedNoise)
