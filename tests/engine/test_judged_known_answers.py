"""The known answers of the rules of judging: defences whose verdict is known before they are judged."""

import pytest
import torch
from pyautoattack import AutoAttack as PyAutoAttack
from torch import nn

import rbench
from rbench.attacks.autoattack import autoattack
from rbench.errors import CellFailed
from rbench.purifiers.identity import Identity
from rbench.testing.known_answers import (
    CELL,
    ClockSeeded,
    ConstantClassifier,
    NanWhenAttacked,
    NoiseDefence,
    NullBackbone,
    NullDefence,
    RemembersItsInput,
    Shatterer,
    WritesToItsInput,
    _read,
    _write,
    in_train_mode,
    linear_problem,
    null_problem,
)

LINEAR_ATTACKS = {
    "pgd": {"steps": 60},
    "pgd-margin": {"steps": 60, "loss": "margin"},
    "pgd-dlr": {"steps": 60, "loss": "dlr"},
    "fgsm": {},
}


def textures(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, nn.Module]:
    """Images and a small smooth network that is right about all of them, with little margin."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 1, 8, 8, generator=generator) * 0.8 + 0.1
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(512, 10))
    return x, net(x).argmax(1), net


@pytest.mark.parametrize("gradient", ["exact", "bpda"])
@pytest.mark.parametrize("right", [0.9, 0.5])
def test_the_null_defence_is_reported_as_right_as_it_is_and_no_attack_has_an_effect(right, gradient):
    x, y = null_problem(400)
    found = rbench.evaluate(
        NullBackbone(),
        x,
        y,
        purifier=NullDefence(right=right),
        attack="pgd",
        steps=10,
        eot=4,
        gradient=gradient,
        eps="16/255",
    )
    for figure in (found.robust_accuracy, found.standard_accuracy, found.noise_accuracy):
        assert figure.low <= right <= figure.high
        assert figure.high - figure.low < 0.06


class Reshuffled(NullDefence):
    """The null defence whose draws fall out anew for every image: of many images one is wrong on the draws that an attacker sees."""

    def forward(self, x, *, noise):
        label = _read(x)
        turned = (noise.uniform() + 1000 * x[:, :, CELL:].mean((1, 2, 3))) % 1
        return _write(x, torch.where(turned < self.right, label, (label + 1) % self.classes))


def test_an_attacker_who_picks_the_image_that_his_draws_call_wrong_gains_nothing_on_fresh_ones():
    """Of 22 points of each sample four race, and the winner is chosen by luck alone; neither select nor score draws have seen it."""
    x, y = null_problem(300)
    found = rbench.evaluate(
        NullBackbone(), x, y, purifier=Reshuffled(), attack="pgd", steps=10, restarts=2, eps="8/255"
    )
    assert found.robust_accuracy.low <= 0.9 <= found.robust_accuracy.high
    assert found.samples["select"].mean() == pytest.approx(0.9, abs=0.015)


def test_autoattack_on_the_null_defence_is_judged_on_fresh_draws():
    x, y = null_problem(100)
    single = autoattack(version="custom", attacks=["apgd-ce"], batch_size=100)
    found = rbench.evaluate(NullBackbone(), x, y, purifier=NullDefence(), attack=single, eps="2/255")
    assert found.robust_accuracy.low <= 0.9 <= found.robust_accuracy.high
    # The reference's own count of the same attack: every sample that was wrong on one of its few draws is gone for good.
    proposed = (found.adversarial != x).flatten(1).any(1)
    assert float(proposed.float().mean()) > 0.05


class Drawing(nn.Module):
    """The null defence as the reference is given one: it draws afresh at every call and tells nobody."""

    def __init__(self):
        super().__init__()
        self.purifier, self.backbone = NullDefence(), NullBackbone()
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, x):
        self.batch = len(x)
        return self.backbone(self.purifier(x, noise=self))

    def uniform(self):
        return torch.rand(self.batch, generator=self.generator)

    def integers(self, low, high):
        return torch.randint(low, high, (self.batch,), generator=self.generator)


def test_the_references_rand_mode_calls_the_null_defence_72_percent_robust_and_rbench_90():
    """It drops a sample at the first wrong draw, of which it looks at three: clean, after APGD-CE and after APGD-DLR; 0.9^3 is 0.729."""
    x, y = null_problem(1000)
    reference = PyAutoAttack(Drawing(), norm="Linf", eps=2 / 255, version="rand", seed=0)
    _, predicted = reference.run_standard_evaluation(x, y, batch_size=1000)
    claimed = float((predicted == y).float().mean())
    assert claimed == pytest.approx(0.729, abs=4 * (0.729 * 0.271 / 1000) ** 0.5)
    few = slice(0, 100)
    judged = rbench.evaluate(
        NullBackbone(),
        x[few],
        y[few],
        purifier=NullDefence(),
        attack=autoattack(version="rand", batch_size=100),
        eps="2/255",
    ).robust_accuracy
    assert judged.low <= 0.9 <= judged.high
    assert judged.low > claimed


def test_a_gradient_shatterer_looks_robust_under_exact_gradients_and_falls_to_bpda():
    x, y, net = textures(200)
    purified = Shatterer()(x)
    y = net(purified).argmax(1)
    results = {
        gradient: rbench.evaluate(
            net, x, y, purifier=Shatterer(), attack="pgd", steps=30, eps="24/255", gradient=gradient
        )
        for gradient in ("exact", "bpda", "blind", "auto")
    }
    assert results["exact"].samples["robust"].mean() > results["bpda"].samples["robust"].mean() + 0.3
    assert "zero-gradients" in results["exact"].flag_names
    assert "zero-gradients" not in results["bpda"].flag_names
    assert results["auto"].gradient == "bpda"
    assert results["auto"].result_hash == results["bpda"].result_hash


class Rippled(nn.Module):
    """Two classes parted by the mean pixel, under a ripple whose slope hides that of the mean at any one point.

    Noise of standard deviation 0.15 averages the ripple of frequency 20 away (its mean is exp(-4.5) of it), so the mean gradient over
    draws points the right way and the gradient of one draw does in 58 % of the pixels.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pixels = x.flatten(1)
        slope = (pixels - 0.5 + 0.2 * torch.sin(20 * pixels)).sum(1)
        return torch.stack([slope, -slope], 1)


def test_eot_lowers_the_accuracy_of_a_noise_defence():
    x = torch.rand(100, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.43
    y = torch.zeros(100, dtype=torch.int64)
    single, averaged = (
        rbench.evaluate(
            Rippled(), x, y, purifier=NoiseDefence(sigma=0.15), attack="pgd", steps=8, eot=eot, eps=0.05, step_size=0.01
        )
        for eot in (1, 32)
    )
    assert averaged.robust_accuracy.high < single.robust_accuracy.low
    assert "no-eot" in single.flag_names
    assert "no-eot" not in averaged.flag_names


@pytest.mark.parametrize("attack", ["pgd", "noise", "autoattack"])
def test_nan_on_perturbed_images_fails_the_cell_with_the_sample_ids(attack):
    x, y, net = textures(12)
    with pytest.raises(CellFailed, match=r"sample \d+: logits are NaN") as failure:
        rbench.evaluate(net, x, y, purifier=NanWhenAttacked(x), attack=attack)
    assert failure.value.sample_ids
    assert all(sample % 3 == 0 for sample in failure.value.sample_ids)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("leaky", [WritesToItsInput, RemembersItsInput])
def test_a_leaky_purifier_is_refused_and_named(leaky, hidden):
    x, y, net = textures(8)
    with pytest.raises(CellFailed, match=r"purifier '\w+' (modifies its input|keeps state)"):
        rbench.evaluate(net, x, y, purifier=leaky(hidden=hidden))


def test_batch_norm_left_in_train_mode_is_judged_as_in_eval_mode_and_keeps_its_buffers():
    x = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    left, proper = in_train_mode(), in_train_mode().eval()
    y = proper(x).argmax(1)
    before = {name: buffer.clone() for name, buffer in left.named_buffers()}
    results = [rbench.evaluate(model, x, y, attack="pgd", steps=5) for model in (left, proper)]
    assert results[0].standard_accuracy.value == 1.0
    assert results[0].result_hash == results[1].result_hash
    assert all(torch.equal(before[name], buffer) for name, buffer in left.named_buffers())


def test_a_clock_seeded_purifier_is_flagged_random_and_not_reproducible():
    x, y, net = textures(16)
    found = rbench.evaluate(net, x, y, purifier=ClockSeeded(), attack="fgsm")
    assert {"randomised", "not-reproducible"} <= found.flag_names
    assert found.audit["random"]


@pytest.mark.parametrize("attack", ["pgd", "autoattack"])
@pytest.mark.parametrize("attached", [True, False])
def test_a_constant_classifier_is_fully_robust_with_a_zero_gradient_flag_and_never_nan(attack, attached):
    x = torch.rand(100, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    y = torch.zeros(100, dtype=torch.int64)
    made = autoattack(version="custom", attacks=["apgd-ce"]) if attack == "autoattack" else attack
    found = rbench.evaluate(ConstantClassifier(attached=attached), x, y, attack=made, gradient="exact")
    assert found.robust_accuracy.value == 1.0
    assert "zero-gradients" in found.flag_names
    assert ("no-gradient-path" in found.flag_names) is not attached


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize(
    ("attack", "classes"),
    # Cross-entropy climbs toward all other classes at once, so it is held to the optimum only where there is one other.
    [("pgd", 2), ("fgsm", 2), ("pgd-margin", 2), ("pgd-dlr", 2), ("pgd-margin", 10), ("pgd-dlr", 10)],
)
def test_finds_the_closed_form_optimum_of_a_linear_model(attack, norm, batch, classes):
    model, x, y, distance = linear_problem(batch, norm, classes=classes)
    name, params = attack.split("-")[0], LINEAR_ATTACKS[attack]
    for sample in range(batch):
        one = slice(sample, sample + 1)
        for factor, robust in ((1.25, 0.0), (0.99, 1.0)):
            found = rbench.evaluate(
                model, x[one], y[one], attack=name, norm=norm, eps=factor * float(distance[sample]), **params
            )
            assert found.robust_accuracy.value == robust


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("batch", [1, 3, 8])
def test_autoattack_finds_the_closed_form_optimum_of_a_linear_model(norm, batch):
    model, x, y, distance = linear_problem(batch, norm, classes=5)
    custom = autoattack(version="custom", attacks=["apgd-ce", "apgd-t"])
    above, below = 1.25 * float(distance.max()), 0.99 * float(distance.min())
    assert rbench.evaluate(model, x, y, attack=custom, norm=norm, eps=above).robust_accuracy.value == 0.0
    assert rbench.evaluate(model, x, y, attack=custom, norm=norm, eps=below).robust_accuracy.value == 1.0


def test_the_identity_changes_nothing():
    x, y, net = textures(32)
    bare = rbench.evaluate(net, x, y, attack="pgd", steps=5)
    assert bare.result_hash == rbench.evaluate(net, x, y, purifier=Identity(), attack="pgd", steps=5).result_hash


class Plateau(nn.Module):
    """Never wrong about class 0; its second logit rises with the mean pixel up to 0.52 and is flat above."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raised = x.flatten(1).mean(1).clamp(max=0.52)
        return torch.stack([torch.ones_like(raised), raised], 1)


def test_a_gradient_that_dies_on_the_way_raises_the_zero_gradient_flag_too():
    x = torch.full((100, 1, 8, 8), 0.5)
    x[:, 0, 0, 0] += torch.arange(100) * 1e-5  # no image is there twice
    found = rbench.evaluate(Plateau(), x, torch.zeros(100, dtype=torch.int64), attack="pgd", steps=10, eps=0.1)
    flag = next(flag for flag in found.flags if flag.name == "zero-gradients")
    assert found.audit["zero_gradient_share"] == 0.0
    assert 0.5 < flag.value < 1.0
