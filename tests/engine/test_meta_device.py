"""With `meta` as default device, every tensor made without saying where breaks at once: so none is, and a GPU would work."""

import pytest
import torch
from torch import nn

import rbench
from rbench.engine.audit import audit
from rbench.engine.defended import DefendedModel
from rbench.engine.judge import Judge
from rbench.engine.oracle import Oracle
from rbench.registry import load
from rbench.testing.known_answers import null_problem
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

CPU = torch.device("cpu")
PURIFIERS = ["identity", "jpeg", "bit-depth", "gaussian-blur", "median", "gaussian-noise", "random-resize-pad"]
ATTACKS = [
    ("pgd", "Linf", 0.05, {"steps": 3, "restarts": 2}),
    ("pgd", "L2", 0.3, {"steps": 3, "loss": "dlr"}),
    ("fgsm", "Linf", 0.05, {"loss": "margin"}),
    ("noise", "Linf", 0.05, {"tries": 2}),
    ("noise", "L1", 2.0, {}),
    ("noise", "L2", 0.3, {}),
]


@pytest.fixture
def meta():
    """Switches the default device; it is the CPU again whatever happens."""
    try:
        yield lambda: torch.set_default_device("meta")
    finally:
        torch.set_default_device(None)


def net(channels=3):
    with torch.random.fork_rng(devices=[]), CPU:
        torch.manual_seed(0)
        parts = nn.Conv2d(channels, 4, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(36, 4)
        return nn.Sequential(*parts)


def images(n=6, channels=3):
    x = torch.rand(n, channels, 8, 8, generator=torch.Generator("cpu").manual_seed(0), device=CPU)
    return x, net(channels)(x).argmax(1)


def test_the_fixture_does_what_it_says(meta):
    meta()
    assert torch.zeros(1).device.type == "meta"
    with pytest.raises((RuntimeError, NotImplementedError)):
        (torch.zeros(1) + torch.ones(1, device=CPU).view(1)).item()


@pytest.mark.parametrize("purifier", PURIFIERS)
@pytest.mark.parametrize("gradient", ["exact", "bpda", "blind"])
def test_every_purifier_is_evaluated_end_to_end_with_the_same_result(purifier, gradient, meta):
    results = []
    for switch in (lambda: None, meta):
        switch()
        x, y = images()
        made = load("purifier", purifier)
        options = {"attack": "pgd", "steps": 3, "eot": 2, "draws": 3, "eps": 0.05, "gradient": gradient}
        results.append(rbench.evaluate(net(), x, y, purifier=made, batch_size=4, **options))
    assert results[0].result_hash == results[1].result_hash
    assert torch.equal(results[0].adversarial, results[1].adversarial)
    assert results[0].audit == results[1].audit


@pytest.mark.parametrize(("attack", "norm", "eps", "params"), ATTACKS)
@pytest.mark.parametrize("decide", ["mean", "majority", "any"])
def test_every_attack_and_rule_gives_the_same_result(attack, norm, eps, params, decide, meta):
    found = []
    for switch in (lambda: None, meta):
        switch()
        x, y = images(channels=1)
        made = load("purifier", "gaussian-noise")
        options = {"attack": attack, "norm": norm, "eps": eps, "decide": decide, "draws": 3, **params}
        found.append(rbench.evaluate(net(1), x, y, purifier=made, **options).result_hash)
    assert found[0] == found[1]


def test_oracle_judge_and_audit_answer_the_same_one_by_one(meta):
    answers = []
    for switch in (lambda: None, meta):
        switch()
        x, y = images()
        batch, calls = Batch(x, y, torch.arange(6, device=CPU)), torch.zeros(6, dtype=torch.int64, device=CPU)
        model, noise = DefendedModel(load("purifier", "random-resize-pad"), net()), Noise(1)
        oracle = Oracle(model, "exact", eot=2, noise=noise)
        module = oracle.as_module(batch)
        point = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(module(point).sum(), point)
        judge = Judge(model, Ball("Linf", 0.1), 3, 5, "majority", noise, 4, random=True)
        select, score = judge.both(x, batch)
        answers.append(
            [
                *oracle.gradient(batch, calls, "ce")[:3],
                *oracle.logits(batch, calls, "margin")[:2],
                slope,
                select,
                score,
                judge.admit(x, batch, 0.0),
                judge.ball.eight_bits(x, x),
                audit(model, batch, noise, Ball("Linf", 0.1))[0],
            ]
        )
    for plain, under_meta in zip(*answers, strict=True):
        assert torch.equal(plain, under_meta) if isinstance(plain, torch.Tensor) else plain == under_meta


def test_a_graph_that_is_cut_and_a_batch_of_one_need_no_default_device_either(meta):
    class Detached(nn.Module):
        stochastic = False

        def forward(self, x):
            return x.detach()

    meta()
    x, y = images(1)
    for gradient in ("exact", "bpda"):
        found = rbench.evaluate(net(), x, y, purifier=Detached(), attack="pgd", steps=2, gradient=gradient)
        assert found.samples["queries"].tolist() == [3]


def test_the_known_answers_and_the_bundled_parts_load_on_the_cpu(meta):
    meta()
    backbone, dataset = load("backbone", "bundled:fashion-cnn"), load("dataset", "fashion-mnist-mini")
    assert {tensor.device.type for tensor in backbone.state_dict().values()} == {"cpu"}
    x = torch.from_numpy(dataset.read(torch.arange(4, device=CPU).numpy()))
    y = torch.from_numpy(dataset.labels[:4].astype("int64"))
    assert rbench.evaluate(backbone, x, y, attack="fgsm").standard_accuracy.n == 4
    assert null_problem(4).x.device.type == "cpu"
