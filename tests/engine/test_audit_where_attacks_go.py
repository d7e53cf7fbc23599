"""The audit asks where attacks go: off the 8-bit grid, in batches as large as theirs, and once more at the end."""

import math
import random

import numpy as np
import pytest
import torch
from small_models import Says
from torch import nn

import rbench
from rbench.engine.audit import audit
from rbench.engine.audited_images import audited_images
from rbench.engine.defended import DefendedModel
from rbench.errors import CellFailed
from rbench.purifiers.identity import Identity
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

BALL = Ball("Linf", 0.1)


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 5)).eval()


def images(n=8):
    """8-bit images, as files hold them."""
    x = torch.randint(0, 256, (n, 1, 4, 4), generator=torch.Generator().manual_seed(0)) / 255
    return x, net()(x).argmax(1)


def off_grid(x):
    """Which images [B, 1, 1, 1] no file holds."""
    levels = x.detach() * 255
    return ((levels - levels.round()).abs() > 1e-3).flatten(1).any(1).view(-1, 1, 1, 1)


class Elsewhere(nn.Module):
    """The identity on 8-bit images, and something else between them."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return torch.where(off_grid(x), self.function(x), x)


class BadGradient(torch.autograd.Function):
    """The identity whose gradient is multiplied by a number for some images."""

    @staticmethod
    def forward(ctx, x, factor, where):
        ctx.factor, ctx.where = factor, where
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return torch.where(ctx.where, gradient * ctx.factor, gradient), None, None


def seen(purifier, *, n=8, size=16):
    x, y = images(n)
    return audit(DefendedModel(purifier, net()), Batch(x, y, torch.arange(n)), Noise(0), BALL, size)[0]


def judged(purifier, n=8, **options):
    x, y = images(n)
    return rbench.evaluate(net(), x, y, purifier=purifier, eps=0.1, **{"attack": "pgd", "steps": 3, **options})


# --- the two sets of images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 16, 50])
@pytest.mark.parametrize("n", [1, 5, 64])
def test_the_sets_have_the_batch_size_of_the_attack_whatever_the_number_of_samples(n, size):
    x, y = images(n)
    noisy, clean = audited_images(Batch(x, y, torch.arange(n)), Noise(0), BALL, size)
    assert len(noisy.whole) == len(clean.whole) == max(size, min(n, 16))
    assert torch.equal(clean.whole.x, x[clean.whole.ids])
    assert BALL.contains(noisy.whole.x, clean.whole.x).all()
    assert off_grid(noisy.whole.x).all()
    assert len(noisy.whole.x.unique(dim=0)) == len(noisy.whole)


def test_what_a_purifier_does_between_8_bit_images_is_measured():
    assert not seen(Identity()).changes
    assert seen(Elsewhere(lambda x: 0.5 * x)).changes


def test_randomness_between_8_bit_images_is_randomness():
    found = seen(Elsewhere(lambda x: (x + 0.1 * torch.randn_like(x)).clamp(0, 1)))
    assert found.random
    assert found.global_generator


def test_irreproducibility_between_8_bit_images_is_measured():
    clock = torch.Generator().manual_seed(0)
    found = seen(Elsewhere(lambda x: 0.5 * x + 0.5 * torch.rand(x.shape, generator=clock)))
    assert found.random
    assert not found.reproducible


def test_dependence_on_the_batch_between_8_bit_images_is_measured():
    assert seen(Elsewhere(lambda x: (x - x.mean(0, keepdim=True)).abs())).batch_dependent


def test_pixels_out_of_range_are_measured_on_both_sets():
    assert seen(Identity()).out_of_range == 0
    assert seen(Elsewhere(lambda x: 1.25 * x)).out_of_range == pytest.approx(0.25, abs=0.01)
    assert seen(Says(lambda x: torch.where(off_grid(x), x, x - 0.5))).out_of_range == pytest.approx(0.5, abs=0.01)
    assert "out-of-range" in judged(Elsewhere(lambda x: x - 0.2)).flag_names
    assert "out-of-range" not in judged(Says(lambda x: x * (1 + 3e-7))).flag_names  # float rounding


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_not_finite_under_noise_fail_the_cell_with_the_samples(value):
    x, _ = images()

    def broken(points):
        near = (points - x[5]).abs().flatten(1).amax(1) <= 0.1
        return torch.where((near & off_grid(points).flatten()).view(-1, 1, 1, 1), value, points)

    message = "sample 5: logits are NaN or infinite on an image under uniform noise in the ball"
    with pytest.raises(CellFailed, match=message) as failure:
        seen(Says(broken), size=40)
    assert failure.value.sample_ids == (5,)


@pytest.mark.parametrize("factor", [0.0, math.nan, math.inf])
@pytest.mark.parametrize("where", [lambda x: off_grid(x), lambda x: ~off_grid(x)], ids=["noisy", "clean"])
def test_auto_leaves_a_gradient_that_is_useless_on_either_set(factor, where):
    purifier = Says(lambda x: BadGradient.apply(x, factor, where(x)))
    found = seen(purifier)
    assert found.useless_gradient_share == 1
    assert (found.zero_gradient_share, found.non_finite_gradient_share) == ((1, 0) if factor == 0 else (0, 1))
    assert judged(purifier).gradient == "bpda"
    assert judged(Identity()).gradient == "exact"


def test_zero_for_some_and_nan_for_others_is_useless_for_the_sum_of_both():
    def some(x):
        rows = torch.arange(len(x)).view(-1, 1, 1, 1) % 4
        return BadGradient.apply(BadGradient.apply(x, 0.0, rows == 0), math.nan, rows == 1)

    found = seen(Says(some))
    assert (found.zero_gradient_share, found.non_finite_gradient_share) == (0.25, 0.25)
    assert found.useless_gradient_share == 0.5
    assert not found.differentiable


# --- batches as large as those of the attack ----------------------------------------------------------------------


def only_in_large_batches(function):
    return Says(lambda x: function(x) if len(x) > 48 else x)


def test_a_purifier_that_changes_images_in_large_batches_alone_is_found():
    darker = only_in_large_batches(lambda x: 0.5 * x)
    assert seen(darker, size=64).changes
    assert seen(darker, size=64).batch_dependent
    assert not seen(darker, size=48).changes
    assert "batch-dependent" in judged(darker).flag_names  # 8 samples; batches of up to 64
    assert "batch-dependent" in judged(darker, attack="adaptive", steps=1, queries=2, batch_size=32).flag_names
    assert "batch-dependent" not in judged(darker, batch_size=48).flag_names


def test_randomness_and_useless_gradients_in_large_batches_alone_are_found():
    assert seen(only_in_large_batches(lambda x: (x + 0.1 * torch.randn_like(x)).clamp(0, 1)), size=64).random
    assert (
        seen(only_in_large_batches(lambda x: BadGradient.apply(x, math.nan, x > -1)), size=64).useless_gradient_share
        == 1
    )
    assert not seen(only_in_large_batches(torch.detach), size=64).reaches_input


def test_a_gradient_that_is_wrong_in_large_batches_alone_is_a_wrong_gradient():
    lying = only_in_large_batches(lambda x: BadGradient.apply(x, -1.0, x > -1))
    assert seen(lying, size=64).batch_gradient_error == pytest.approx(2)
    assert seen(lying, size=48).batch_gradient_error == pytest.approx(0, abs=1e-4)
    assert seen(lying).batch_gradient_error is None
    assert "wrong-gradient" in judged(lying).flag_names
    assert "wrong-gradient" not in judged(lying, gradient="bpda").flag_names


# --- purifiers that draw from global generators -------------------------------------------------------------------


def drawing(source, x):
    return {
        "torch": lambda: torch.randn_like(x),
        "numpy": lambda: torch.from_numpy(np.random.standard_normal(x.shape)).to(x),  # noqa: NPY002
        "python": lambda: torch.tensor([random.gauss(0, 1) for _ in range(x.numel())]).view_as(x).to(x),
    }[source]()


@pytest.mark.parametrize("source", ["torch", "numpy", "python"])
def test_a_global_generator_is_compared_under_one_shape_and_one_seed(source):
    purifier = Says(lambda x: (x + 0.1 * drawing(source, x)).clamp(0, 1))
    found = seen(purifier)
    assert (found.global_generator, found.random, found.reproducible) == (True, True, True)
    assert not found.batch_dependent
    purifier.stochastic = True
    assert judged(purifier, eot=2).flag_names == {"few-samples"}


def test_dropout_that_stays_on_is_judged_fairly():
    purifier = Says(lambda x: nn.functional.dropout(x, 0.2, training=True).clamp(0, 1))
    purifier.stochastic = True
    assert judged(purifier, eot=2).flag_names == {"few-samples"}


def test_a_global_generator_hides_no_dependence_on_the_batch():
    found = seen(Says(lambda x: (x - x.mean(0, keepdim=True)).abs() + 0.1 * torch.rand_like(x)))
    assert found.global_generator
    assert found.batch_dependent


def test_draws_that_change_nothing_buy_no_lenience():
    found = seen(Says(lambda x: (0.5 * x if len(x) > 48 else x) + 0 * torch.rand_like(x)), size=64)
    assert found.global_generator
    assert not found.random
    assert found.batch_dependent
    assert not seen(Identity()).global_generator


# --- the first questions, asked again -----------------------------------------------------------------------------


def test_a_purifier_that_remembers_clean_images_and_answers_others_by_the_nearest_is_refused():
    kept = []

    def nearest(x):
        kept.extend(x[~off_grid(x).flatten()].detach())
        if not kept:
            return x
        known = torch.stack(kept)
        return known[torch.cdist(x.flatten(1), known.flatten(1)).argmin(1)]

    with pytest.raises(CellFailed, match=r"purifier '\w+' keeps state between calls \(keeps-state\)"):
        judged(Says(nearest))


class Turns(nn.Module):
    """Another purifier after so many calls, counted where no hash of the modules looks."""

    stochastic = False

    def __init__(self, after, *, when=lambda x: True):
        super().__init__()
        calls = []
        self.count = lambda x: calls.append(None) if when(x) else None
        self.turned = lambda: len(calls) > after

    def forward(self, x):
        self.count(x)
        return 0.9 * x if self.turned() else x


@pytest.mark.parametrize("attack", ["pgd", "adaptive"])
def test_a_purifier_that_turns_during_the_attack_fails_at_the_end_of_the_cell(attack):
    options = {"attack": attack, **({"queries": 2} if attack == "adaptive" else {}), "steps": 10}
    turning = Turns(12, when=lambda x: x.requires_grad)
    seen(turning)  # the audit alone does not see it
    with pytest.raises(CellFailed, match=r"purifier '\w+' keeps state between calls \(keeps-state\)"):
        judged(Turns(12, when=lambda x: x.requires_grad), **options)
    assert judged(Turns(10**6), **options).gradient == "exact"


def test_asking_again_is_not_counted_as_the_attacks():
    x, y = images()
    whole, halves = (rbench.evaluate(net(), x, y, steps=1, eps=1e-6, batch_size=size) for size in (8, 2))
    assert whole.cost == halves.cost  # in batches of two the questions are asked at the end of two spans


def test_what_is_random_under_the_same_noise_is_not_called_stateful():
    clock = torch.Generator().manual_seed(0)
    assert "not-reproducible" in judged(Says(lambda x: 0.9 * x + 0.1 * torch.rand(x.shape, generator=clock))).flag_names
