"""The backbone that attacks ask: the same function as the one given, which judges ask."""

import pytest
import torch
from torch import nn

from rbench.attacks.adaptive import adaptive
from rbench.attacks.apgd import apgd
from rbench.attacks.autoattack import autoattack
from rbench.attacks.pgd import pgd
from rbench.backbones.head import load_backbone
from rbench.engine.defended import DefendedModel
from rbench.engine.evaluation import evaluate_batch
from rbench.engine.folding import ChannelsLast
from rbench.engine.ladder import run_ladder
from rbench.engine.propose import Problem
from rbench.engine.proposing import CLOSE, Proposers, proposing
from rbench.engine.setup import Protocol, describe, set_up
from rbench.errors import InputError
from rbench.purifiers.anti_adversary import AntiAdversary
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.purifiers.identity import Identity
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch


def seeded(made):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = made()
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2)
                nn.init.normal_(part.weight)
                nn.init.normal_(part.bias)
    return network.eval()


class Residual(nn.Module):
    """The output of the first convolution goes two ways, that of the second into a norm alone."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.norm_two, self.out = nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.Linear(4, 5)

    def forward(self, x):
        first = self.one(x)
        return self.out((first + self.norm(first).relu() + self.norm_two(self.two(first))).mean((2, 3)))


class Shared(nn.Module):
    """One norm after two convolutions."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.norm = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
        self.out = nn.Linear(4, 5)

    def forward(self, x):
        return self.out(self.norm(self.two(self.norm(self.one(x)))).mean((2, 3)))


def plain():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


def batch(n=12, *, channels=3, side=10):
    x = torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(1))
    return Batch(x, torch.arange(n) % 5, torch.arange(n))


@pytest.mark.parametrize(("made", "folded"), [(plain, 2), (Shared, 0)])
def test_a_norm_is_folded_where_it_follows_one_convolution_alone(made, folded):
    network, shown = seeded(made), batch()
    found = proposing(DefendedModel(Identity(), network), shown)
    assert found.folded == folded
    assert isinstance(found.backbone, ChannelsLast)
    assert found.difference < 1e-5
    assert torch.allclose(found.backbone(shown.x), network(shown.x), atol=1e-5)
    assert sum(isinstance(part, nn.BatchNorm2d) for part in found.backbone.modules()) == 2 - folded - (made is Shared)


def test_where_folding_makes_another_function_the_given_network_stays():
    network, shown = seeded(Residual), batch()
    found = proposing(DefendedModel(Identity(), network), shown)
    assert found.backbone is network
    assert found.facts() == {}


def test_the_given_network_is_as_it_was():
    network, shown = seeded(plain), batch()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    layers, strides = [type(part) for part in network.modules()], [p.stride() for p in network.parameters()]
    proposing(DefendedModel(Identity(), network), shown)
    assert [type(part) for part in network.modules()] == layers
    assert [p.stride() for p in network.parameters()] == strides
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(part._forward_hooks for part in network.modules())


@pytest.mark.parametrize("name", ["bundled:fashion-cnn", "bundled:fashion-cnn+head"])
def test_a_head_on_features_is_no_obstacle(name):
    params = {"head": "bundled:fashion-cropd-head"} if name.endswith("head") else {}
    network = load_backbone("bundled:fashion-cnn", params)
    found = proposing(DefendedModel(Identity(), network), batch(channels=1, side=28))
    assert found.folded == 4
    assert found.difference < CLOSE


@pytest.mark.parametrize("network", [nn.Sequential(nn.Flatten(), nn.Linear(300, 5)), seeded(plain)])
def test_nothing_is_changed_without_a_convolution_or_where_the_purifier_was_shown_the_backbone(network):
    convolutions = any(isinstance(part, nn.Conv2d) for part in network.modules())
    model = DefendedModel(AntiAdversary() if convolutions else Identity(), network)
    assert proposing(model, batch()).backbone is network


def test_it_is_made_once_for_a_backbone():
    network, made = seeded(plain), Proposers()
    models = [DefendedModel(Identity(), network) for _ in range(2)]
    assert made.of(models[0], batch()) is made.of(models[1], batch())


class Pretending(nn.Module):
    """A network that has no gradient where its batch norm is gone."""

    def __init__(self):
        super().__init__()
        self.network = plain()

    def forward(self, x):
        gone = not any(isinstance(part, nn.BatchNorm2d) for part in self.modules())
        return self.network(x.detach() + 0 * x) if gone else self.network(x)


def test_a_network_whose_gradient_differs_when_it_is_folded_stays_as_it_was_given():
    network = seeded(Pretending)
    assert proposing(DefendedModel(Identity(), network), batch()).backbone is network


@pytest.mark.parametrize("attack", [apgd(steps=2), adaptive(steps=2), autoattack(engine="reference")])
def test_own_attacks_ask_the_faster_one_and_the_judge_and_third_party_code_the_given_one(attack):
    network, shown = seeded(plain), batch()
    setup = set_up(DefendedModel(Identity(), network), attack, Protocol(Ball("Linf", 0.01)), shown)
    assert setup.judge.model.backbone is network
    assert (setup.oracle.model.backbone is network) is not attack.driven
    assert setup.oracle.model.meter is setup.judge.model.meter
    assert ("2 batch norms folded, channels last" in describe(setup).get("proposing", "")) is attack.driven


def test_every_rung_of_a_ladder_asks_the_faster_one_for_gradients():
    network, shown = seeded(plain), batch()
    shown = Batch(shown.x, network(shown.x).argmax(1), shown.ids)
    setup = set_up(
        DefendedModel(Identity(), network), adaptive(steps=2, queries=10), Protocol(Ball("Linf", 1e-4)), shown
    )
    asked = []
    network.register_forward_hook(lambda part, given, logits: asked.append(logits.requires_grad))
    problem = Problem.of(setup.judge, shown, torch.ones(len(shown)), 5)
    run_ladder(setup.rungs, problem, setup.oracle.model, lambda count: None)
    assert setup.judge.model.meter.backwards > 0
    assert asked
    assert not any(asked), "the judge asks the given one, and for no gradient"


def half_asked(attack, **params):
    """The logits that an attack sees of a network, and the set-up in half precision."""
    network, shown = seeded(plain), batch()
    setup = set_up(
        DefendedModel(Identity(), network), attack, Protocol(Ball("Linf", 0.01), precision="bf16-propose"), shown
    )
    asked = setup.oracle.gradient(shown, torch.zeros_like(shown.y), "ce")
    return network, shown, setup, asked


def test_in_half_precision_an_attack_is_answered_in_bfloat16_and_the_judge_in_float32():
    network, shown, setup, asked = half_asked(apgd(steps=2))
    exact = network(shown.x)
    apart = (asked.logits - exact).abs().max() / exact.abs().max()
    assert 1e-4 < apart < 0.05
    assert asked.logits.dtype == asked.gradient.dtype == torch.float32
    assert setup.judge.model.backbone is network
    said = describe(setup)["proposing"]
    assert "2 batch norms folded, channels last, bfloat16; clean logits differ by at most" in said


def test_the_gradient_in_half_precision_points_where_that_in_float32_does():
    network, shown, _, asked = half_asked(apgd(steps=2))
    point = shown.x.clone().requires_grad_()
    (exact,) = torch.autograd.grad(nn.functional.cross_entropy(network(point), shown.y, reduction="sum"), point)
    assert nn.functional.cosine_similarity(asked.gradient.flatten(), exact.flatten(), dim=0) > 0.9


def test_what_half_precision_alone_sees_fooled_is_attacked_on():
    """A network that answers otherwise in bfloat16: the judge upholds no claim, and every sample has its whole budget."""

    class Unsure(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(300, 5)

        def forward(self, x):
            logits = self.out(x.flatten(1)).float()
            return logits.roll(1, 1) if torch.is_autocast_enabled("cpu") else logits

    network, shown = seeded(Unsure), batch()
    shown = Batch(shown.x, network(shown.x).argmax(1), shown.ids)
    setup = set_up(
        DefendedModel(Identity(), network), pgd(steps=3), Protocol(Ball("Linf", 1e-6), precision="bf16-propose"), shown
    )
    found = evaluate_batch(setup, shown)
    assert (found.counts["proposed"], found.counts["confirmed"]) == (12, 0)
    assert (found.arrays["queries"] == 4).all()


def test_third_party_code_takes_no_other_precision():
    network, shown = seeded(plain), batch()
    protocol = Protocol(Ball("Linf", 0.01), precision="bf16-propose")
    with pytest.raises(InputError, match="precision is for rbench's own attacks"):
        set_up(DefendedModel(Identity(), network), autoattack(engine="reference"), protocol, shown)


@pytest.mark.parametrize(("precision", "faster"), [("fp32", True), ("bf16-propose", False)])
def test_points_of_a_random_defence_are_chosen_by_the_same_function_and_judged_by_the_given_one(precision, faster):
    protocol = Protocol(Ball("Linf", 0.02), draws=3, select_draws=5, precision=precision)
    of_steps = []
    for steps in (4, 9):
        network, shown, asked = seeded(plain), batch(), []
        shown = Batch(shown.x, network(shown.x).argmax(1), shown.ids)
        setup = set_up(DefendedModel(GaussianNoise(sigma=0.01), network), pgd(steps=steps), protocol, shown)
        network.register_forward_hook(lambda part, images, logits, asked=asked: asked.append(len(logits)))
        evaluate_batch(setup, shown)
        of_steps.append(sum(asked))
    judged = 4 * (protocol.draws + protocol.select_draws) * len(shown)  # clean, noisy, attacked, and that in 8 bits
    assert min(of_steps) >= judged
    assert (of_steps[0] == of_steps[1]) is faster, "the attack asks the given network nothing"
