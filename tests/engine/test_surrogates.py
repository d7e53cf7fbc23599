"""A purifier's own stand-in for BPDA is tried against the identity before the attack; one that misleads is dropped and named."""

import pytest
import torch
from torch import nn

import rbench
from rbench.engine.defended import DefendedModel
from rbench.engine.surrogates import try_stand_in
from rbench.testing.known_answers import Shatterer
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

EPS = 0.1


class Rounded(nn.Module):
    """Rounds to 64 levels: no gradient, and the identity is as good a stand-in as any."""

    stochastic = False

    def forward(self, x):
        return (63 * x).round() / 63


class Honest(Rounded):
    def surrogate(self, x):
        return x


class Reversed(Rounded):
    def surrogate(self, x):
        return 1 - x


class Constant(Rounded):
    def surrogate(self, x):
        return torch.full_like(x, 0.5) + 0 * x


class Shuffled(Rounded):
    def surrogate(self, x):
        return x.flip(2, 3)


class Diluted(Rounded):
    """Mostly a lie, with a grain of truth."""

    def surrogate(self, x):
        return 0.1 * x + 0.9 * x.flip(2, 3)


class HonestOnFiles(Rounded):
    """Tells the truth about multiples of 1 / 255, which files hold, and lies about the points of an attack."""

    def surrogate(self, x):
        levels = 255 * x.detach()
        on_grid = ((levels - levels.round()).abs() < 1e-3).flatten(1).all(1)[:, None, None, None]
        return torch.where(on_grid, x, 1 - x)


class HonestInTheBall(HonestOnFiles):
    """The other way round."""

    def surrogate(self, x):
        return 1 - super().surrogate(x)


class Noisy(Reversed):
    stochastic = True

    def forward(self, x, *, noise):
        return super().forward(x + 0.02 * noise.normal(*x.shape[1:]))


LIARS = [Reversed, Constant, Shuffled, Diluted, HonestOnFiles, HonestInTheBall, Noisy]


@pytest.fixture
def eight_bit():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(36, 24), nn.Tanh(), nn.Linear(24, 4))
    x = (255 * torch.rand(12, 1, 6, 6, generator=torch.Generator().manual_seed(0))).round() / 255
    return model, x, model(x).argmax(1)


def trial(purifier, given, norm="Linf", eps=EPS, **facts):
    model, x, y = given
    defended = DefendedModel(purifier, model)
    found = try_stand_in(
        defended, Batch(x, y, torch.arange(len(x))), Noise(0), Ball(norm, eps), **{"random": False, **facts}
    )
    assert defended.meter.totals() == dict.fromkeys(defended.meter.totals(), 0), "no cost of an attack"
    return found


@pytest.mark.parametrize("liar", LIARS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(("norm", "eps"), [("Linf", EPS), ("L2", 0.6), ("L1", 3.0)])
def test_a_stand_in_that_misleads_is_found(liar, norm, eps, eight_bit):
    found = trial(liar(), eight_bit, norm, eps, random=liar.stochastic)
    assert found.dropped
    assert found.identity > 0
    assert found.rise < 0.25 * found.identity


def test_an_honest_stand_in_stays(eight_bit):
    found = trial(Honest(), eight_bit)
    assert not found.misleads
    assert found.rise == found.identity > 0


def test_where_neither_rises_the_purifiers_own_stays(eight_bit):
    class Dead(Reversed):
        def forward(self, x):
            return torch.full_like(x, 0.5)

    found = trial(Dead(), eight_bit)
    assert (found.rise, found.identity, found.misleads) == (0, 0, False)


def test_a_lying_stand_in_does_not_raise_the_number_and_is_named(eight_bit):
    model, x, y = eight_bit
    found = {
        kind: rbench.evaluate(model, x, y, purifier=kind(), attack="pgd", steps=10, eps=0.4)
        for kind in (Rounded, Reversed)
    }
    assert found[Reversed].gradient == "bpda"
    assert found[Reversed].result_hash == found[Rounded].result_hash
    assert found[Reversed].audit["surrogate"].startswith("dropped: ")
    assert found[Reversed].robust_accuracy.value == 0
    assert "surrogate" not in found[Rounded].audit


def test_a_ladder_goes_along_the_identity_where_the_stand_in_was_dropped(eight_bit):
    model, x, y = eight_bit
    told = {
        kind: [
            rung.label
            for rung in rbench.evaluate(
                model, x, y, purifier=kind(), attack="adaptive", steps=3, queries=20, eps=EPS
            ).rungs
        ]
        for kind in (Honest, Rounded, Reversed)
    }
    assert told[Reversed] == told[Rounded]
    assert [label for label in told[Honest] if label not in told[Rounded]] == ["pgd-margin-identity"]


def test_what_the_user_names_stays_and_is_measured_as_well(eight_bit):
    model, x, y = eight_bit

    class Mirror(nn.Module):
        def forward(self, x):
            return 1 - x

    given = {"attack": "pgd", "steps": 10, "eps": 0.4, "gradient": "bpda"}
    found = rbench.evaluate(model, x, y, purifier=Rounded(), stand_in=Mirror(), **given)
    assert found.samples["robust"].mean() > 0.8
    assert found.audit["surrogate"].startswith("misleads, kept since it was asked for: ")
    assert found.audit["stand_in_misleads"] is True
    own = rbench.evaluate(model, x, y, purifier=Reversed(), stand_in=nn.Identity(), **given)
    assert own.audit["surrogate"].startswith("tried: ")
    assert own.robust_accuracy.value == 0


def test_nothing_is_tried_where_no_attack_goes_along_it(eight_bit):
    model, x, y = eight_bit
    for attack in ({"attack": "pgd", "gradient": "exact"}, {"attack": "square", "queries": 5}):
        assert "surrogate" not in rbench.evaluate(model, x, y, purifier=Reversed(), eps=EPS, **attack).audit


def test_it_is_tried_once_for_all_attacks_on_a_defended_model(eight_bit):
    from rbench.engine.surrogates import Trials

    model, x, y = eight_bit
    defended, trials, calls = DefendedModel(Honest(), model), Trials(), []
    inner = defended.surrogate
    defended.surrogate = lambda x, noise: (calls.append(len(x)), inner(x, noise))[1]
    batch = Batch(x, y, torch.arange(len(x)))
    for eps in (0.1, 0.1, 0.2):
        trials.of(defended, None, batch, Noise(0), Ball("Linf", eps), random=False)
    assert len(calls) == 2 * 2, "once for each radius, on two sets of images"
    assert trials.of(DefendedModel(Shatterer(), model), None, batch, Noise(0), Ball("Linf", 0.1), random=False) is None
