"""The oracle's answers about displacements: measured under the clean image's own noise, and paid for."""

import pytest
import torch
from torch import nn

from rbench.engine.defended import DefendedModel
from rbench.engine.oracle import Oracle
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

B, SHAPE = 4, (1, 2, 3)


class Noisy(nn.Module):
    """Doubles and draws; so does its code."""

    stochastic = True

    def forward(self, x, *, noise):
        return 2 * x + noise.normal(*x.shape[1:])

    def encode(self, x, *, noise):
        return (3 * x + noise.normal(*x.shape[1:])).flatten(1)


class Global(Noisy):
    """Draws from the generator of torch."""

    def forward(self, x):
        return 2 * x + torch.randn_like(x)

    def encode(self, x):
        return (3 * x + torch.randn_like(x)).flatten(1)


@pytest.fixture
def problem():
    x = torch.rand(B, *SHAPE, generator=torch.Generator().manual_seed(0))
    return x, torch.zeros(B, dtype=torch.int64), torch.arange(20, 20 + B), torch.zeros(B, dtype=torch.int64)


def oracle(purifier, *, eot=1):
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
    return Oracle(DefendedModel(purifier, backbone), "exact", eot=eot, noise=Noise(0))


@pytest.mark.parametrize("loss", ["latent", "latent-angle", "latent-norm", "decoder", "feature"])
@pytest.mark.parametrize("purifier", [Noisy(), Global()], ids=["noise", "global"])
def test_noise_alone_moves_nothing(purifier, loss, problem):
    x, y, ids, calls = problem
    asked = oracle(purifier, eot=3)
    assert torch.equal(asked.logits(Batch(x, y, ids), calls, loss, x).loss, torch.zeros(B))
    answer = asked.gradient(Batch(x, y, ids), calls, loss, x)
    assert torch.equal(answer.loss, torch.zeros(B))
    assert torch.equal(answer.gradient, torch.zeros_like(x))


@pytest.mark.parametrize("eot", [1, 3])
def test_the_answer_is_the_mean_over_draws_of_which_each_has_its_own_reference(eot, problem):
    x, y, ids, calls = problem
    moved = x + 0.1
    answer = oracle(Noisy(), eot=eot).gradient(Batch(moved, y, ids), calls, "decoder", x)
    assert torch.allclose(answer.loss, torch.full((B,), 6 * 0.2**2))
    assert torch.allclose(answer.gradient, torch.full_like(x, 2 * 2 * 0.2), atol=1e-5)
    losses = []
    for draw in range(eot):
        noise = Noise(0).of("defence", ids, x.device, draw=draw, calls=calls).normal(*SHAPE)
        length = (3 * x + noise).square().flatten(1).sum(1)
        losses.append(6 * 0.3**2 / length)
    found = oracle(Noisy(), eot=eot).logits(Batch(moved, y, ids), calls, "latent", x)
    assert torch.allclose(found.loss, torch.stack(losses).mean(0), rtol=1e-4)


@pytest.mark.parametrize("loss", ["latent", "decoder", "feature"])
def test_the_logits_beside_a_displacement_are_those_of_the_defended_model(loss, problem):
    x, y, ids, calls = problem
    asked = oracle(Noisy())
    truth = asked.model(x + 0.1, Noise(0).of("defence", ids, x.device))
    assert torch.equal(asked.gradient(Batch(x + 0.1, y, ids), calls, loss, x).logits, truth)


@pytest.mark.parametrize(
    ("loss", "purified", "forwards"),
    [("latent", 3, 1), ("decoder", 2, 1), ("feature", 2, 2)],
)
@pytest.mark.parametrize("eot", [1, 2])
def test_the_clean_reference_is_paid_for(loss, purified, forwards, eot, problem):
    x, y, ids, calls = problem
    asked = oracle(Noisy(), eot=eot)
    asked.gradient(Batch(x + 0.1, y, ids), calls, loss, x)
    assert asked.model.meter.totals() == {
        "forwards": forwards * B * eot, "backwards": B * eot, "purifier_passes": purified * B * eot, "queries": B
    }  # fmt: skip


@pytest.mark.parametrize("loss", ["latent", "decoder", "feature"])
def test_a_sample_alone_gets_the_answer_it_gets_among_others(loss, problem):
    x, y, ids, calls = problem
    asked = oracle(Noisy())
    together = asked.gradient(Batch(x + 0.1, y, ids), calls, loss, x)
    for row in range(B):
        one = slice(row, row + 1)
        alone = asked.gradient(Batch(x[one] + 0.1, y[one], ids[one]), calls[one], loss, x[one])
        for found, expected in zip(alone[:3], together[:3], strict=True):
            assert torch.allclose(found, expected[one], rtol=1e-4, atol=1e-5)
