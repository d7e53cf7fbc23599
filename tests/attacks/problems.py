"""Small smooth classifiers with images that they get right, and the same verdict asked for in another batch or order."""

import torch
from torch import nn

from rbench.engine.defended import DefendedModel
from rbench.engine.driver import Driver
from rbench.engine.evaluation import evaluate_batch
from rbench.engine.judge import Judge
from rbench.engine.kept import FirstFooled
from rbench.engine.oracle import Oracle
from rbench.engine.setup import Protocol, set_up
from rbench.purifiers.identity import Identity
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise


def problem(n, *, channels=1, side=8, classes=10):
    """A network and what it says of random images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Conv2d(channels, 8, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(8 * side**2, classes)
    model = nn.Sequential(*layers).eval().requires_grad_(requires_grad=False)
    x = torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(1)) * 0.8 + 0.1
    return model, x, model(x).argmax(1)


def fooled_at(attack, model, x, y, norm, eps):
    """Which samples fall, each within a radius of its own."""
    defended, noise, ids = DefendedModel(Identity(), model), Noise(0), torch.arange(len(x))
    judge = Judge(defended, Ball(norm, eps.double()), 1, 1, "mean", noise, len(x), random=False)
    attack = attack.fit(model(x).shape[1])
    oracle = Oracle(defended, "exact", eot=1, noise=noise)
    driver, clean = Driver(attack, oracle, judge.ball, noise, len(x)), Batch(x, y, ids)
    found = driver.run(clean, torch.ones(len(x), dtype=torch.bool), FirstFooled(judge, clean)).x
    assert bool(judge.ball.contains(found, x).all())
    return model(found).argmax(1) != y


def outcomes(attack, model, x, y, *, norm, eps, purifier=None, order=None, batch_size=64, **params):
    """Verdicts, queries and images of an attack in the order of the samples, whatever the order they were shown in."""
    defended, ids = DefendedModel(purifier or Identity(), model), torch.arange(len(x))
    order = ids if order is None else order
    setup = set_up(defended, attack, Protocol(Ball(norm, eps), batch_size=batch_size, **params), Batch(x, y, ids))
    found = evaluate_batch(setup, Batch(x, y, ids).at(order)).arrays
    back = order.argsort().numpy()
    return {
        name: torch.tensor(found[name][back])
        for name in ("select_predictions", "robust_predictions", "queries", "images")
    }


def same(one, other):
    """Verdicts and queries to the bit; nearly all images too, as rounding in another batch may send a few another way."""
    close = (one["images"] - other["images"]).abs().flatten(1).amax(1) < 1e-5
    return float(close.float().mean()) > 0.9 and all(
        torch.equal(one[name], other[name]) for name in one if name != "images"
    )
