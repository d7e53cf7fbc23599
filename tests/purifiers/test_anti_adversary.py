import copy

import pytest
import torch
from torch import nn

import rbench
from rbench.engine.audit import remembered
from rbench.engine.defended import DefendedModel, state_hash
from rbench.purifiers.anti_adversary import AntiAdversary
from rbench.threat.noise import Noise

SHAPE = (1, 5, 5)
every_rule = pytest.mark.parametrize("rule", ["sign", "gradient"])


def images(n=6, seed=1, dtype=torch.float32):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def greyish():
    """In pairs around grey, so that a model that is linear around it says both classes."""
    x = 0.4 + 0.2 * images(dtype=torch.float64)
    return torch.cat([x, 1 - x])


def net():
    """Smooth, so that second derivatives exist and are not zero."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(25, 16), nn.Tanh(), nn.Linear(16, 4)).eval()


def linear():
    """Two classes, equally likely for a grey image."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        layer = nn.Linear(25, 2).double()
    layer.bias.data = -0.5 * layer.weight.data.sum(1)
    return nn.Sequential(nn.Flatten(), layer).eval()


def attached(backbone, **params):
    module = AntiAdversary(**params)
    module.attach(backbone)
    return module


def confidence(backbone, x, predicted):
    return backbone(x).softmax(1).gather(1, predicted[:, None])[:, 0]


def noise(n):
    return Noise(0).of("score", torch.arange(n), torch.device("cpu"))


def apart(backbone, x):
    """Weights of the predicted class less those of the other, as images, and which class it is."""
    predicted = backbone(x).argmax(1)
    weight = backbone[1].weight.detach()
    return (weight[predicted] - weight[1 - predicted]).view_as(x), predicted


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_in_front_of_a_linear_model_every_pixel_goes_all_its_steps_towards_the_predicted_class(steps):
    x, backbone = greyish(), linear()
    towards, predicted = apart(backbone, x)
    assert set(predicted.tolist()) == {0, 1}
    found = attached(backbone, steps=steps, alpha=0.07)(x)
    assert torch.allclose(found, x + steps * 0.07 * towards.sign(), atol=1e-12)


def test_steps_along_the_plain_gradient_are_as_long_as_the_other_class_is_likely():
    x, backbone = greyish(), linear()
    towards, predicted = apart(backbone, x)
    expected = x
    for _ in range(3):
        left = 1 - confidence(backbone, expected, predicted)
        expected = (expected + 0.05 * left[:, None, None, None] * towards).detach()
    assert torch.allclose(attached(backbone, steps=3, alpha=0.05, rule="gradient")(x), expected, atol=1e-12)


def test_the_defaults_are_those_of_the_source():
    module = AntiAdversary()
    assert (module.steps, module.alpha, module.rule) == (2, 0.15, "sign")


def test_what_leaves_the_pixel_range_is_clipped_at_the_end_alone():
    """A pixel that a step took out of the range and another one brings back is where it started."""

    class Turns(nn.Module):
        def forward(self, x):
            total = x.flatten(1).sum(1)
            return torch.stack([-(total - 1).square(), torch.zeros_like(total) - 100], 1)

    module = attached(Turns(), steps=2, alpha=0.3)
    assert torch.allclose(module(torch.full((1, 1, 1, 1), 0.9)), torch.full((1, 1, 1, 1), 0.9), atol=1e-6)
    wide = attached(linear(), steps=2, alpha=5.0)(images(dtype=torch.float64))
    assert set(wide.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(("rule", "alpha"), [("sign", 0.02), ("gradient", 0.05)])
def test_the_classifier_is_surer_of_what_it_said(rule, alpha):
    x, backbone = 0.3 + 0.4 * images(20), net()
    predicted = backbone(x).argmax(1)
    before = confidence(backbone, x, predicted)
    few, many = (
        confidence(backbone, attached(backbone, rule=rule, alpha=alpha, steps=n)(x), predicted) for n in (2, 5)
    )
    assert (few > before).all()
    assert (many > few).all()


def test_only_the_predicted_class_counts_and_no_label_is_asked():
    """The prediction is that of the image, kept through all steps, though a first step too long changes it."""
    x, backbone = images(30), net()
    predicted = backbone(x).argmax(1)
    once = attached(backbone, steps=1, alpha=0.02)(x)
    assert (backbone(once).argmax(1) == predicted).all()
    calls = []

    class Watched(nn.Module):
        def forward(self, x):
            calls.append(x.detach().clone())
            return backbone(x)

    attached(Watched(), steps=4, alpha=0.02)(x)
    assert len(calls) == 5
    assert torch.equal(calls[0], x)
    assert torch.equal(calls[1], x)
    assert torch.allclose(calls[2], once, atol=0.03)


@every_rule
def test_it_works_the_same_with_and_without_a_graph(rule):
    x, module = images(), attached(net(), rule=rule)
    with torch.no_grad():
        blind = module(x)
        blind_leaf = module(x.clone().requires_grad_())
    plain, graphed = module(x), module(x.clone().requires_grad_())
    assert torch.equal(blind, plain)
    assert torch.equal(blind, blind_leaf)
    assert torch.allclose(blind, graphed, atol=1e-6)
    assert not blind.requires_grad
    assert not plain.requires_grad
    assert graphed.requires_grad


def test_the_exact_gradient_of_signs_takes_the_step_for_a_constant():
    x = images().requires_grad_()
    module = attached(net(), alpha=0.1)
    y = module(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    inside = (y > 0) & (y < 1)
    assert 0 < int(inside.sum()) < inside.numel()
    assert torch.equal(gradient, inside.float())


@every_rule
@pytest.mark.parametrize("stand_in", [False, True])
def test_gradients_are_those_of_finite_differences_with_second_derivatives_of_the_classifier(rule, stand_in):
    x = (0.3 + 0.4 * images(2, dtype=torch.float64)).requires_grad_()
    module = attached(net().double(), rule=rule, alpha=0.05)
    call = module.surrogate if stand_in else module
    assert torch.autograd.gradcheck(call, x, eps=1e-7, atol=1e-5)
    (gradient,) = torch.autograd.grad(call(x).sum(), x)
    assert torch.equal(gradient, torch.ones_like(x)) == (rule == "sign" and not stand_in)


def test_gradients_reach_an_image_that_is_computed_itself():
    start = (0.3 + 0.4 * images(2, dtype=torch.float64)).requires_grad_()
    module = attached(net().double(), rule="gradient", alpha=0.05)
    assert torch.autograd.gradcheck(lambda start: module(start.square() + 0.1), start, eps=1e-7, atol=1e-5)


def test_the_surrogate_moves_each_pixel_less_but_the_same_way_and_lets_gradients_through_the_clip():
    x, backbone = greyish(), linear()
    towards, _ = apart(backbone, x)
    size = towards.abs()
    soft = towards / (size + size.mean((1, 2, 3), keepdim=True))
    module = attached(backbone, steps=2, alpha=0.07)
    assert torch.allclose(module.surrogate(x), x + 2 * 0.07 * soft, atol=1e-6)
    clipped = attached(backbone, alpha=5.0)
    point = x.clone().requires_grad_()
    y = clipped.surrogate(point)
    assert torch.equal(y, y.clamp(0, 1))
    assert float(torch.autograd.grad(y.sum(), point)[0].abs().min()) > 0.1


@every_rule
def test_a_classifier_without_a_slope_leaves_the_image_and_has_finite_gradients(rule):
    class Flat(nn.Module):
        def forward(self, x):
            return 0 * x.flatten(1)[:, :3] + torch.tensor([1.0, 0.0, 0.0])

    x = images().requires_grad_()
    module = attached(Flat(), rule=rule)
    for call in (module, module.surrogate):
        y = call(x)
        assert torch.allclose(y, x)
        assert torch.isfinite(torch.autograd.grad(y.sum(), x)[0]).all()


def test_without_a_classifier_it_says_what_to_do():
    for call in (AntiAdversary(), AntiAdversary().surrogate):
        with pytest.raises(RuntimeError, match=r"anti-adversary asks the classifier, and has none; call attach"):
            call(images())
    DefendedModel(AntiAdversary(), net())(images(), noise(6))


@every_rule
def test_it_keeps_nothing_and_changes_nothing_of_the_classifier(rule):
    x, backbone = images(), net()
    module = attached(backbone, rule=rule)
    before = state_hash(backbone)
    module(x.clone().requires_grad_())
    module(x)
    assert state_hash(backbone) == before
    assert all(parameter.grad is None for parameter in backbone.parameters())
    assert list(module.parameters()) == list(module.state_dict()) == list(module.children()) == []

    model = DefendedModel(module, backbone)
    memory = remembered(model)
    first = model(x, noise(6))
    model(1 - x, noise(6))
    assert remembered(model) == memory
    model((x / 2).requires_grad_(), noise(6)).sum().backward()
    assert remembered(model) == memory
    assert all(parameter.grad is None for parameter in backbone.parameters())
    assert torch.equal(model(x, noise(6)), first)


def test_its_questions_are_not_counted():
    model = DefendedModel(AntiAdversary(steps=7), net())
    model(images(), noise(6))
    assert model.meter.totals() == {"forwards": 6, "backwards": 0, "purifier_passes": 6, "queries": 0}


def test_the_latest_classifier_is_asked_and_a_copy_has_its_own():
    x, one, other = images(dtype=torch.float64), linear(), linear()
    other[1].weight.data = -other[1].weight.data.flip(0) * torch.linspace(-1, 1, 25, dtype=torch.float64)
    module = attached(one)
    module.attach(other)
    assert torch.equal(module(x), attached(other)(x))
    twin = copy.deepcopy(module)
    other[1].weight.data.zero_()
    assert not torch.equal(twin(x), module(x))


@every_rule
def test_a_sample_is_purified_the_same_in_any_batch_and_the_input_is_left_alone(rule):
    x, order = images(), torch.tensor([3, 0, 4])
    before = x.clone()
    module = attached(net(), rule=rule)
    together = module(x)
    assert torch.equal(x, before)
    assert together.shape == x.shape
    assert 0 <= float(together.min()) <= float(together.max()) <= 1
    assert torch.allclose(module(x[order]), together[order], atol=1e-6)
    assert torch.allclose(module(x[2:3]), together[2:3], atol=1e-6)


@every_rule
@pytest.mark.parametrize("gradient", ["exact", "checkpointed", "bpda"])
def test_the_engine_says_that_it_optimises_at_test_time_and_nothing_worse(rule, gradient):
    x, backbone = images(), net()
    module = rbench.load("purifier", "anti-adversary", rule=rule, alpha=0.05)
    labels = backbone(x).argmax(1)
    found = rbench.evaluate(backbone, x, labels, purifier=module, steps=2, eps=0.03, gradient=gradient)
    assert found.gradient == gradient
    assert "optimises-at-test-time" in found.flag_names
    doubts = {"wrong-gradient", "randomised", "batch-dependent", "not-reproducible", "no-gradient-path"}
    assert not found.flag_names & doubts
    assert found.standard_accuracy.value == 1


def test_no_tensor_is_made_on_an_implicit_device():
    x, backbone = images().requires_grad_(), net()
    torch.set_default_device("meta")
    try:
        module = attached(backbone)
        for y in (module(x), module.surrogate(x)):
            assert y.device.type == torch.autograd.grad(y.sum(), x)[0].device.type == "cpu"
    finally:
        torch.set_default_device(None)
