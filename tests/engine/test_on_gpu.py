"""On a CUDA device: the same noise bit for bit, the same verdicts, and the whole loop without a tensor left behind."""

import pytest
import torch
from torch import nn

import rbench
from rbench.attacks.apgd import apgd
from rbench.attacks.fab import fab_t
from rbench.attacks.pgd import pgd
from rbench.attacks.square import square
from rbench.registry import load
from rbench.threat.noise import Noise, step_uniforms

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]
EPS, APART = 0.1, 1.15
"""Radius, and by which factor the distance of a border is below or above it."""
ATTACKS = {
    "pgd": pgd(steps=20, restarts=2),
    "apgd": apgd(steps=20),
    "apgd-t": apgd(steps=20, loss="dlr-targeted", targets=3),
    "fab-t": fab_t(steps=10, targets=2),
    "square": square(queries=400),
}


@pytest.fixture
def device():
    return "cuda"


def problem(n=24):
    """A linear classifier of five classes whose border lies well within the ball for every second image, else well beyond it."""
    weight = torch.zeros(5, 36)
    weight[0], weight[1] = 1.0, -1.0
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 5))
    with torch.no_grad():
        net[1].weight.copy_(weight)
        net[1].bias.copy_(torch.tensor([-18.0, 18.0, -9.0, -9.0, -9.0]))
    distance = EPS * torch.tensor([1 / APART, APART]).repeat(n // 2)
    x = (0.5 + distance)[:, None, None, None].expand(n, 1, 6, 6).clone()
    x[:, 0, 0, 0] += torch.arange(n) * 1e-6  # no image is there twice
    return net, x, torch.zeros(n, dtype=torch.int64)


def draws(device):
    ids, calls = torch.arange(64) * 977, torch.arange(64) % 5
    noise = Noise(3).of("attack", ids, torch.device(device), draw=2, calls=calls)
    key = noise.integers(0, 2**63 - 1)
    steps = step_uniforms(key, calls.to(device), 7)
    return [noise.normal(3, 5), noise.uniform(4), noise.integers(0, 10, 3), key, steps]


def test_noise_is_the_same_bit_for_bit(device):
    for here, there in zip(draws("cpu"), draws(device), strict=True):
        assert there.device.type == device
        assert torch.equal(here, there.cpu())


@pytest.mark.parametrize("name", ATTACKS)
def test_the_whole_loop_runs_there_and_comes_to_the_same_verdicts(name, device):
    net, x, y = problem()
    on = {
        place: rbench.evaluate(net, x, y, attack=ATTACKS[name], eps=EPS, batch_size=8, device=place)
        for place in ("cpu", device)
    }
    verdicts = {place: found.samples["robust"].tolist() for place, found in on.items()}
    assert verdicts["cpu"] == verdicts[device] == [0.0, 1.0] * (len(x) // 2)


@pytest.mark.parametrize("purifier", ["gaussian-noise", "random-resize-pad", "jpeg", "median"])
def test_purifiers_and_random_defences_run_there(purifier, device):
    net, x, y = problem(8)
    options = {"attack": "pgd", "steps": 3, "eot": 2, "draws": 4, "select_draws": 8, "eps": 0.02, "batch_size": 4}
    found = rbench.evaluate(net, x, y, purifier=load("purifier", purifier), device=device, **options)
    assert found.robust_accuracy.n == 8
    assert found.adversarial.device.type == "cpu"


def test_a_ladder_runs_there(device):
    net, x, y = problem(8)
    found = rbench.evaluate(
        net, x, y, attack="autoattack", version="custom", attacks=["apgd-ce"], eps=EPS, device=device
    )
    assert found.samples["robust"].tolist() == [0.0, 1.0] * 4
