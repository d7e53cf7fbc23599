"""One model for attackers and judge: nothing that a purifier can see tells it who asks (docs/judging.md, rules 3.5 and 3.7)."""

import copy

import cheats
import pytest
import torch
from cheats import EPS, Says, images, net
from torch import nn

import rbench
from rbench.engine.defended import DefendedModel
from rbench.engine.fixed_noise import FixedNoise
from rbench.engine.judge import Judge
from rbench.errors import CellFailed
from rbench.results.flags.gradient_trust import distrusted, of_its_batch
from rbench.results.flags.of_row import provisional
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.draws import Draws
from rbench.threat.noise import Noise

OTHERWISE = "or its backbone answers otherwise"


def judged(purifier, backbone=None, n=20, **options):
    x, y = images(n)
    return rbench.evaluate(
        backbone or net(), x, y, purifier=purifier, **{"eps": EPS, "attack": "pgd", "steps": 3, **options}
    )


# --- noise --------------------------------------------------------------------------------------------------------


class Curious(nn.Module):
    """Keeps every noise that it is shown, by whatever way."""

    stochastic = True

    def __init__(self):
        super().__init__()
        self.shown = []

    def forward(self, x, *, noise):
        return self.stages(x, noise)[0](x)

    def stages(self, x, noise):
        self.shown.append(noise)
        drawn = noise.normal(*x.shape[1:])
        return [lambda images: images + 1e-3 * drawn]

    def surrogate(self, x, *, noise):
        self.shown.append(noise)
        return x + 0 * noise.uniform(*x.shape[1:])

    def encode(self, x, *, noise):
        self.shown.append(noise)
        return x.flatten(1) + 0 * noise.integers(0, 2, 1)


@pytest.mark.parametrize("fixed", [False, True])
def test_a_purifier_is_shown_draws_and_not_who_asks_for_them(fixed):
    inner = Curious()
    model = DefendedModel(FixedNoise(inner) if fixed else inner, net())
    x, _ = images(4)
    for role in ("defence", "score"):
        noise = Noise(3).of(role, torch.arange(4), x.device)
        for ask in (model.purify, model.purify_checkpointed, model.encode, model.surrogate):
            ask(x, copy.copy(noise))
    assert len(inner.shown) == 8
    for noise in inner.shown:
        assert type(noise) is Draws
        assert {name for name in dir(noise) if not name.startswith("__")} == {"normal", "uniform", "integers"}
        assert not hasattr(noise, "__dict__")
        assert [hasattr(draw, "__self__") for draw in (noise.normal, noise.uniform, noise.integers)] == [False] * 3


def test_draws_are_those_of_the_noise_and_take_its_next_streams():
    noise = Noise(0).of("score", torch.arange(3), torch.device("cpu"))
    shown, same = Draws(copy.copy(noise)), copy.copy(noise)
    assert torch.equal(shown.normal(2), same.normal(2))
    assert torch.equal(shown.uniform(), same.uniform())
    assert torch.equal(shown.integers(0, 9, 4), same.integers(0, 9, 4))


def test_a_code_under_fixed_noise_is_fixed():
    class Coded(Curious):
        def encode(self, x, *, noise):
            return x.flatten(1) + noise.normal(64)

    model, x = DefendedModel(FixedNoise(Coded()), net()), images(4)[0]
    codes = [model.encode(x, Noise(0).of(role, torch.arange(4), x.device)) for role in ("defence", "score")]
    assert torch.equal(*codes)


# --- ways to ask --------------------------------------------------------------------------------------------------

WAYS = {
    "with gradients": lambda x: torch.is_grad_enabled() and x.requires_grad,
    "where gradients are on and the image has none": lambda x: torch.is_grad_enabled() and not x.requires_grad,
    "where gradients are off and the image has one": lambda x: x.requires_grad and not torch.is_grad_enabled(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", ["purifier", "backbone"])
def test_an_answer_that_depends_on_gradients_being_taken_is_refused_by_the_audit(way, part):
    lying = Says(lambda x: 0.9 * x if WAYS[way](x) else x)
    owner = f"purifier 'Says' {OTHERWISE}" if part == "purifier" else "^the backbone answers otherwise"
    with pytest.raises(CellFailed, match=f"{owner} {way}:"):
        judged(lying) if part == "purifier" else judged(None, nn.Sequential(lying, net()))


def test_attacked_images_are_shown_by_the_code_of_the_judge_and_by_that_of_attackers():
    with pytest.raises(CellFailed, match=f"{OTHERWISE} to an attack"):
        judged(cheats.without_judge_in_the_stack(cheats.invert))


def test_attacked_images_that_survive_are_asked_about_as_attackers_ask():
    def otherwise(x):
        corners = cheats.at_corners(x).view(-1, 1, 1, 1) & torch.tensor(x.requires_grad)
        return torch.where(corners, 0.9 * x, x)

    with pytest.raises(CellFailed, match=f"{OTHERWISE} to an attack"):
        judged(Says(otherwise))


def test_batches_of_sizes_that_an_attack_had_are_compared_at_the_end():
    with pytest.raises(CellFailed, match=f"{OTHERWISE} in a batch of [0-9]+:"):
        judged(Says(lambda x: x if len(x) in (2, 16, 20, 32, 64) else 0.5 * x), n=20, steps=10)
    assert judged(Says(lambda x: 0.5 * x), steps=10).gradient == "exact"


def test_a_model_that_answers_otherwise_by_the_batch_and_is_known_to_is_not_refused():
    found = judged(Says(lambda x: (x - x.mean(0, keepdim=True) + 0.5).clamp(0, 1)), steps=2)
    assert "batch-dependent" in found.flag_names


@pytest.mark.parametrize("n", [20, 64])
def test_images_that_repeat_in_a_batch_are_tried_by_the_audit(n):
    """64 samples fill a batch of the audit without repeating."""

    class Repeats(nn.Module):
        def forward(self, x):
            return 0.9 * x if len(x) > 2 and len(x.flatten(1).unique(dim=0)) < len(x) else x

    assert "batch-dependent" in judged(Repeats(), n=n, steps=2).flag_names


def test_an_image_alone_is_tried_by_the_audit():
    assert "batch-dependent" in judged(Says(lambda x: 0.9 * x if len(x) == 2 else x), n=64, steps=2).flag_names


class Sizes(nn.Module):
    """Notes how many different images are in each batch, and how large it is."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x, *, noise):
        self.seen.append((len(x), len(x.flatten(1).unique(dim=0))))
        return x + 0 * noise.uniform(1, 1, 1)


@pytest.mark.parametrize("stacked", [True, False])
def test_the_judge_shows_no_image_twice_where_answers_depend_on_the_batch(stacked):
    x, y = images(4)
    purifier = Sizes()
    model = DefendedModel(purifier, net())
    judge = Judge(model, Ball("Linf", EPS), 4, 8, "mean", Noise(0), 64, random=True, stacked=stacked)
    judge.both(x, Batch(x, y, torch.arange(4)))
    assert set(purifier.seen) == ({(32, 4), (16, 4)} if stacked else {(4, 4)})


def test_the_judge_is_set_up_by_what_the_audit_finds_of_batches():
    with_repeats = cheats.KnowsRepeats()
    found = judged(with_repeats, draws=4, select_draws=16, steps=10, eot=4)
    assert "batch-dependent" in found.flag_names
    assert found.robust_accuracy.value < 0.2


# --- trust --------------------------------------------------------------------------------------------------------


def test_gradients_that_are_wrong_at_attacked_images_alone_are_not_trusted():
    random = cheats.PURIFIERS["random gradients at the corners of the ball"]()
    found = judged(random, steps=10)
    assert found.samples["robust"].mean() > 0.2
    assert found.audit["kept_promise"] < 0.1
    assert "at attacked images" in distrusted(found.audit)
    honest = judged(Says(lambda x: 0.5 * x + 0.25), eps=0.05, steps=10)
    assert honest.samples["robust"].mean() > 0.2
    assert honest.audit["kept_promise"] > 0.5
    assert distrusted(honest.audit) is None


def test_squashed_outputs_are_not_trusted():
    found = judged(None, cheats.BACKBONES["sigmoids that saturate"]())
    assert "the outputs are sigmoids" in distrusted(found.audit)


def test_a_row_whose_answers_depend_on_the_batch_is_provisional_whatever_attacked_it():
    batch = of_its_batch({"batch_difference": 0.06})
    assert of_its_batch({"batch_difference": 0.04}) is None
    assert of_its_batch({}) is None
    assert provisional([], black_box=True, batch=batch).name == "provisional"
    assert provisional([], black_box=True) is None


def test_moved_features_hide_no_gradient_of_zero():
    """The features of such a backbone have gradients, its logits have none."""
    backbone = cheats.BACKBONES["quantised logits without a gradient"]()
    found = judged(None, backbone, attack="adaptive", restarts=1, targets=1, queries=20)
    assert found.samples["robust"].mean() > 0.2
    assert "zero-gradients" in found.flag_names
