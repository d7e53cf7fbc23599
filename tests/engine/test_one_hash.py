"""One result, whatever the batch size, the order of the samples and the place where a run was taken up again: one hash."""

import pytest
import torch
from torch import nn

from rbench.attacks.adaptive import adaptive
from rbench.attacks.apgd import apgd
from rbench.attacks.pgd import pgd
from rbench.attacks.square import square
from rbench.engine.defended import DefendedModel
from rbench.engine.evaluation import evaluate_batch, join
from rbench.engine.outcome import draw_outcome
from rbench.engine.setup import Protocol, set_up
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.purifiers.identity import Identity
from rbench.results.hashes import array_hash
from rbench.results.sample_columns import DECIDED
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch

ATTACKS = {
    "pgd": pgd(steps=6, restarts=2),
    "apgd": apgd(steps=8),
    "apgd-t": apgd(steps=4, loss="dlr-targeted", targets=3),
    "square": square(queries=25),
    "adaptive": adaptive(steps=2, restarts=1, targets=1, queries=20),
}
N = 48


def problem():
    x = torch.rand(N, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(384, 10))
    return net, x, net(x).argmax(1)


def result(attack, purifier, *, batch_size=16, order=None, pieces=1):
    """The hash of a cell evaluated in an order and in pieces, its samples put back in order of their ids."""
    net, x, y = problem()
    ids = torch.arange(100, 100 + N)
    protocol = Protocol(Ball("Linf", 0.03), eot=2, draws=4, select_draws=8, batch_size=batch_size)
    setup = set_up(DefendedModel(purifier, net), attack, protocol, Batch(x, y, ids))
    order = torch.arange(N) if order is None else order
    whole = join([evaluate_batch(setup, Batch(x, y, ids).at(part)) for part in order.chunk(pieces)])
    robust = draw_outcome(setup, whole).summary.robust_accuracy.value
    assert 0 < robust < 1, "an attack that fools all or none would have one hash whatever it did"
    return array_hash(whole.arrays, DECIDED)


@pytest.mark.parametrize("purifier", [Identity(), GaussianNoise(sigma=0.05)], ids=["deterministic", "random"])
@pytest.mark.parametrize("name", ATTACKS)
def test_batch_size_order_and_resumption_leave_one_hash(name, purifier):
    shuffled = torch.randperm(N, generator=torch.Generator().manual_seed(3))
    once = result(ATTACKS[name], purifier)
    assert once == result(ATTACKS[name], purifier, batch_size=32, order=shuffled, pieces=3)
