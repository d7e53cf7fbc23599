import pytest
import torch

from rbench.testing.known_answers import (
    ClockSeeded,
    ConstantClassifier,
    NanWhenAttacked,
    NoiseDefence,
    NullBackbone,
    NullDefence,
    RemembersItsInput,
    Shatterer,
    WritesToItsInput,
    in_train_mode,
    linear_problem,
    null_problem,
)
from rbench.threat.noise import Noise


def noise_for(x, draw=0, role="score"):
    return Noise(0).of(role, torch.arange(len(x)), x.device, draw=draw)


def right_share(x, y, right):
    purifier, backbone = NullDefence(right=right), NullBackbone()
    hits = [backbone(purifier(x, noise=noise_for(x, draw))).argmax(1) == y for draw in range(8)]
    return float(torch.stack(hits).float().mean())


@pytest.mark.parametrize("right", [0.0, 0.5, 0.9, 1.0])
def test_the_null_defence_is_right_with_its_probability_clean_and_under_any_perturbation(right):
    x, y = null_problem(400)
    clean = right_share(x, y, right)
    assert clean == pytest.approx(right, abs=0.03)
    generator = torch.Generator().manual_seed(1)
    for eps in (8 / 255, 0.45):
        for direction in (torch.rand(x.shape, generator=generator) * 2 - 1, 1 - 2 * (x > 0.5).float()):
            moved = (x + eps * direction.sign()).clamp(0, 1)
            assert right_share(moved, y, right) == clean


def test_the_null_problem_survives_eight_bits_and_has_a_gradient_to_follow():
    x, y = null_problem(20, classes=16)
    assert torch.equal((x * 255).round() / 255, x)
    assert NullBackbone(classes=16)(x).argmax(1).tolist() == y.tolist()
    x.requires_grad_()
    logits = NullBackbone()(NullDefence()(x, noise=noise_for(x)))
    gradient = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, y % 10), x)[0]
    assert bool((gradient.flatten(1).abs().amax(1) > 0).all())


def test_the_shatterer_has_a_zero_gradient_and_eight_levels():
    x = torch.rand(2, 1, 16, 16, requires_grad=True)
    y = Shatterer()(x)
    assert len(y.unique()) == 8
    assert not torch.autograd.grad(y.sum(), x)[0].any()


def test_the_nan_purifier_breaks_the_named_samples_and_no_clean_one():
    x = torch.rand(8, 1, 4, 4)
    purifier = NanWhenAttacked(x)
    assert torch.equal(purifier(x), x)
    broken = purifier((x + 0.01)[[5, 3, 4, 0]]).isnan().flatten(1).all(1)
    assert broken.tolist() == [False, True, False, True]


@pytest.mark.parametrize("hidden", [False, True])
def test_the_leaky_purifiers_leak(hidden):
    x = torch.rand(2, 1, 4, 4)
    before, version = x.clone(), x._version
    WritesToItsInput(hidden=hidden)(x)
    assert not torch.equal(x, before)
    assert (x._version == version) == hidden
    purifier = RemembersItsInput(hidden=hidden)
    assert not torch.equal(purifier(before), purifier(before))
    assert (float(purifier.state_dict()["last"]) == 0) == hidden


def test_batch_norm_in_train_mode_answers_otherwise_than_in_eval_mode():
    x = torch.rand(16, 1, 8, 8)
    model = in_train_mode()
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    trained = model(x)
    assert model.training
    assert any(not torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())
    evaluated = in_train_mode().eval()
    assert not torch.equal(evaluated(x).argmax(1), trained.argmax(1))


def test_the_clock_seeded_purifier_is_random_behind_every_seed():
    x = torch.full((2, 1, 4, 4), 0.5)
    torch.manual_seed(0)
    first = ClockSeeded()(x)
    torch.manual_seed(0)
    assert not torch.equal(first, ClockSeeded()(x))


def test_the_constant_classifier_is_constant_with_and_without_a_graph():
    x = torch.rand(3, 1, 4, 4, requires_grad=True)
    assert ConstantClassifier()(x).argmax(1).tolist() == [0, 0, 0]
    assert not torch.autograd.grad(ConstantClassifier()(x)[:, 0].sum(), x)[0].any()
    assert not ConstantClassifier(attached=False)(x).requires_grad


def test_the_noise_defence_is_a_purifier_with_noise():
    x = torch.rand(3, 1, 4, 4)
    assert not torch.equal(NoiseDefence()(x, noise=noise_for(x, 0)), NoiseDefence()(x, noise=noise_for(x, 1)))


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("batch", [1, 3, 8])
def test_the_closed_form_distance_is_the_least_perturbation_that_fools(norm, classes, batch):
    model, x, y, distance = linear_problem(batch, norm, classes=classes, seed=batch)
    assert model(x).argmax(1).tolist() == y.tolist()
    weight = model[1].weight

    def pushed(factor):
        fooled = torch.zeros(batch, dtype=torch.bool)
        for target in range(classes):
            gap = weight[target] - weight[y]
            step = {
                "Linf": gap.sign(),
                "L2": gap / gap.norm(dim=1, keepdim=True).clamp(min=1e-12),
                "L1": torch.where(gap.abs() == gap.abs().amax(1, keepdim=True), gap.sign(), 0),
            }[norm]
            moved = x + (factor * distance[:, None] * step).view_as(x)
            assert float(moved.min()) >= 0
            assert float(moved.max()) <= 1
            fooled |= model(moved).argmax(1) != y
        return fooled

    assert pushed(1.01).all()
    assert not pushed(0.99).any()
