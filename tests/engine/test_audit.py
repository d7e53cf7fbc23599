"""Every fact of the audit on a model that was made to have it."""

import math

import pytest
import torch
from parts import refused, some
from small_models import Says
from torch import nn
from torch.nn import functional

import rbench
from rbench.engine.audit import audit
from rbench.engine.defended import DefendedModel
from rbench.errors import CellFailed
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.purifiers.identity import Identity
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

CLASSES = 5


def net(*more):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES), *more)


def images(n=12):
    x = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return x, net()(x).argmax(1)


def seen(purifier=None, backbone=None, *, n=12):
    x, y = images(n)
    model = DefendedModel(purifier or Identity(), backbone or net())
    return audit(model, Batch(x, y, torch.arange(n)), Noise(0), Ball("Linf", 0.03), n)[0]


def flags(purifier=None, backbone=None, **options):
    x, y = images()
    return rbench.evaluate(backbone or net(), x, y, purifier=purifier, attack="fgsm", **options).flag_names


def test_an_ordinary_model_gives_no_reason_for_doubt():
    found = seen()
    assert found.classes == CLASSES
    assert (found.random, found.reproducible, found.batch_dependent, found.not_logits) == (False, True, False, None)
    assert found.reaches_input
    assert found.zero_gradient_share == found.non_finite_gradient_share == found.repeat_difference == 0
    assert found.batch_difference < 1e-6
    assert flags() == {"few-samples"}


@pytest.mark.parametrize(
    ("last", "name"),
    [(nn.Softmax(1), "probabilities"), (nn.LogSoftmax(1), "log-probabilities"), (nn.Sigmoid(), "sigmoids")],
)
def test_outputs_that_are_probabilities_are_told_from_logits(last, name):
    assert seen(backbone=net(last)).not_logits == name
    assert ("not-logits" in flags(backbone=net(last))) is (name is not None)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x - x.mean(0, keepdim=True)).abs(),  # depends on the company
        lambda x: x * torch.linspace(0.5, 1, len(x)).view(-1, 1, 1, 1),  # depends on the place
        lambda x: x * (1 - torch.arange(len(x)) % 2 / 2).view(-1, 1, 1, 1),  # and equally so in each half
    ],
)
def test_a_purifier_that_looks_at_the_rest_of_the_batch_is_seen(function):
    assert seen(Says(function)).batch_dependent
    assert "batch-dependent" in flags(Says(function))


def test_a_single_image_cannot_show_a_dependence_on_the_batch():
    assert seen(n=1).batch_difference == 0


def test_a_declared_random_purifier_is_random_and_not_flagged():
    found = seen(GaussianNoise())
    assert found.declared_random
    assert found.random
    assert found.reproducible
    assert not found.batch_dependent
    assert not {"randomised", "not-reproducible", "batch-dependent"} & flags(GaussianNoise(), eot=2)


def test_a_declaration_of_randomness_is_not_believed():
    found = seen(Says(lambda x: x * 0.9, stochastic=True))
    assert found.declared_random
    assert not found.random
    x, y = images()
    judged = rbench.evaluate(net(), x, y, purifier=Says(lambda x: x * 0.9, stochastic=True), attack="fgsm", draws=8)
    assert {len(draws) for draws in judged.samples["robust_predictions"]} == {1}


@pytest.mark.parametrize(
    "function",
    [lambda x: (x + 0.1 * torch.randn_like(x)).clamp(0, 1), lambda x: functional.dropout(x, 0.3, training=True)],
    ids=["noise", "dropout"],
)
def test_randomness_that_is_not_declared_is_flagged_and_judged_on_several_draws(function):
    found = seen(Says(function))
    assert found.random
    assert found.reproducible, "the global generators are seeded around the purifier"
    assert found.repeat_difference > 1e-4
    assert {"randomised", "no-eot"} <= flags(Says(function))
    x, y = images()
    judged = rbench.evaluate(net(), x, y, purifier=Says(function), attack="fgsm", draws=6)
    assert {len(draws) for draws in judged.samples["robust_predictions"]} == {6}


def test_dropout_is_off_in_eval_mode_and_no_randomness():
    assert not seen(nn.Dropout(0.5).train()).random


def no_grad(x):
    with torch.no_grad():
        return x * 0.9


@pytest.mark.parametrize(
    "function", [no_grad, lambda x: x.detach() * 0.9, lambda x: torch.from_numpy(x.detach().numpy() * 1)]
)
def test_a_purifier_that_cuts_the_graph_has_no_gradient_path(function):
    found = seen(Says(function))
    assert not found.reaches_input
    assert not found.differentiable
    assert {"no-gradient-path", "zero-gradients"} <= flags(Says(function), gradient="exact")


def test_without_a_gradient_path_auto_goes_around_the_purifier():
    x, y = images()
    found = rbench.evaluate(net(), x, y, purifier=Says(no_grad), attack="fgsm")
    assert found.gradient == "bpda"
    assert "no-gradient-path" not in found.flag_names


def test_a_gradient_of_zeros_is_measured_though_the_graph_reaches_the_input():
    found = seen(Says(lambda x: (x * 3).round() / 3))
    assert found.reaches_input
    assert found.zero_gradient_share == 1
    assert not found.differentiable


def test_the_share_of_broken_gradients_is_measured():
    def broken(x):
        first = (x[:4] - x[:4]).sqrt()  # 0, with NaN as its derivative
        return torch.cat([x[:4] + first, x[4:]]) if len(x) > 4 else x

    assert seen(Says(broken)).non_finite_gradient_share == pytest.approx(4 / 12)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_clean_image_without_finite_logits_is_refused_by_its_sample(value):
    def broken(x):
        return torch.where((x == images()[0][5]).flatten(1).all(1).view(-1, 1, 1, 1), value, x)

    with pytest.raises(CellFailed, match="sample 5: logits are NaN or infinite on the clean image") as failure:
        seen(Says(broken))
    assert failure.value.sample_ids == (5,)


def test_a_label_beyond_the_logits_is_refused():
    x, y = images()
    y[3] = CLASSES
    with refused(place="labels: sample 3", found="label 5", problem=some("the backbone has 5 classes")):
        rbench.evaluate(net(), x, y, attack="fgsm")


def test_a_purifier_of_another_shape_and_a_backbone_without_classes_are_refused():
    with pytest.raises(CellFailed, match=r"returned \(12, 1, 4, 3\), not images of shape \(12, 1, 4, 4\)"):
        seen(Says(lambda x: x[..., :3]))
    with pytest.raises(CellFailed, match="returned tuple, not images"):
        seen(Says(lambda x: (x, x)))
    with pytest.raises(CellFailed, match="the backbone returned"):
        seen(backbone=nn.Identity())


class Counts(nn.Module):
    """Darkens every tenth call."""

    stochastic = False

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * (0.5 if self.calls % 2 else 1.0)


def test_a_purifier_that_counts_its_calls_is_refused():
    with pytest.raises(CellFailed, match="keeps state between calls"):
        seen(Counts())


class Learns(nn.Module):
    """A backbone whose buffer moves, though its answer does not."""

    def __init__(self):
        super().__init__()
        self.inner = net()
        self.register_buffer("total", torch.zeros(()))

    def forward(self, x):
        self.total += 1
        return self.inner(x)


def test_a_model_that_changes_its_buffers_is_refused():
    with pytest.raises(CellFailed, match="changes its parameters or buffers"):
        seen(backbone=Learns())


def test_the_audit_costs_the_attack_nothing():
    model = DefendedModel(Identity(), net())
    x, y = images(64)
    before = model.meter.totals()
    audit(model, Batch(x, y, torch.arange(64)), Noise(0), Ball("Linf", 0.03), 64)
    assert model.meter.totals() == before
