"""A ladder of attacks: what it is chosen by, who meets a rung, what is told of it."""

from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from torch import nn

import rbench
from rbench.errors import CellFailed, InputError
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.purifiers.identity import Identity
from rbench.purifiers.jpeg import Jpeg
from rbench.testing.known_answers import Shatterer
from rbench.threat.attack import ExternalAttack, IterativeAttack
from rbench.threat.ladder import Ladder, Measured, Rung

STRIDE = 0.01


class Climb(NamedTuple):
    x: torch.Tensor


def climbing(steps):
    """Raises the second pixel by STRIDE a step."""

    def init(x, y, threat, noise):
        return Climb(x.clone())

    def update(state, answer):
        return Climb(state.x + torch.tensor([0.0, STRIDE]))

    return IterativeAttack(init, update, steps=steps, norms=("Linf",))


def external(lift, met=None, **options):
    """Third-party code that lifts the second pixel of every image; notes whom it meets by the first pixel."""

    def perturb(module, batch, ball, classes, seed):
        if met is not None:
            met.append([round(v, 4) for v in batch.x[:, 0, 0, 0].tolist()])
        return batch.x + torch.tensor([0.0, lift])

    return ExternalAttack(perturb, 64, ("Linf",), **options)


class Threshold(nn.Module):
    """Says 1, the wrong class, as soon as the second pixel is above the first."""

    def forward(self, x):
        lead = x[:, 0, 0, 1] - x[:, 0, 0, 0]
        return torch.stack([torch.zeros_like(lead), lead], 1)


def falling_at(*steps):
    """Images of class 0 that fall after exactly so many steps of `climbing`; the first pixel tells them apart."""
    x = torch.zeros(len(steps), 1, 1, 2)
    for row, step in enumerate(steps):
        x[row, 0, 0, 0] = 0.5 + row / 1000
        x[row, 0, 0, 1] = x[row, 0, 0, 0] - (step - 0.5) * STRIDE
    return x, torch.zeros(len(steps), dtype=torch.int64)


def climb(rungs, steps, *, purifier=None, batch_size=64, eps=0.4, **params):
    ladder = Ladder(rungs if callable(rungs) else lambda found: tuple(rungs), batch_size, ("Linf",))
    x, y = falling_at(*steps)
    return rbench.evaluate(Threshold(), x, y, purifier=purifier, attack=ladder, eps=eps, **params)


THREE = (Rung("low", climbing(2), "exact"), Rung("middle", climbing(5), "exact"), Rung("high", climbing(9), "exact"))
STEPS = (1, 2, 3, 5, 6, 9, 10, 30)


# --- who meets which rung -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_a_rung_meets_only_what_still_stands(batch_size):
    found = climb(THREE, STEPS, batch_size=batch_size)
    assert [(rung.label, rung.attacked, rung.fooled) for rung in found.rungs] == [
        ("low", 8, 2),
        ("middle", 6, 2),
        ("high", 4, 2),
    ]
    assert found.samples["robust"].tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    # A query of the start and one after every step, of each rung until it fell.
    assert found.samples["queries"].tolist() == [2, 3, 3 + 4, 3 + 6, 3 + 6 + 7, 3 + 6 + 10, 19, 19]


def test_a_rung_with_nobody_left_is_told_as_such_and_costs_nothing():
    found = climb(THREE, (1, 2))
    assert [(rung.attacked, rung.fooled, rung.backwards) for rung in found.rungs] == [(2, 2, 4), (0, 0, 0), (0, 0, 0)]


def test_a_sample_that_is_wrong_when_clean_is_left_alone():
    x, y = falling_at(3, 3, 3)
    y[1] = 1
    met = []
    ladder = Ladder(lambda found: (Rung("theirs", external(0.01, met), "exact"),), 8, ("Linf",))
    found = rbench.evaluate(Threshold(), x, y, attack=ladder, eps=0.02)
    assert met == [[0.5, 0.502]]
    assert (found.rungs[0].attacked, found.rungs[0].fooled) == (2, 0)


def test_third_party_rungs_meet_the_survivors_of_ours():
    met = []
    rungs = (Rung("ours", climbing(5), "exact"), Rung("theirs", external(0.095, met), "exact"), THREE[2])
    found = climb(rungs, STEPS)
    assert met == [[0.504, 0.505, 0.506, 0.507]]
    assert [(rung.attacked, rung.fooled) for rung in found.rungs] == [(8, 4), (4, 2), (2, 0)]


def test_what_the_rungs_did_adds_up_to_the_figures_and_the_cost():
    found = climb(THREE, STEPS)
    n = len(STEPS)
    assert sum(rung.fooled for rung in found.rungs) == round(n * (1 - found.samples["robust"].mean()))
    assert sum(rung.backwards for rung in found.rungs) == found.cost["backwards"]
    assert all(rung.seconds >= 0 for rung in found.rungs)
    apart = climb(THREE, STEPS, batch_size=3)
    assert [(r.attacked, r.fooled, r.backwards) for r in apart.rungs] == [
        (r.attacked, r.fooled, r.backwards) for r in found.rungs
    ]


def test_the_batch_size_of_the_run_changes_nothing():
    x, y = falling_at(*STEPS)
    ladder = Ladder(lambda found: THREE, 5, ("Linf",))
    runs = [rbench.evaluate(Threshold(), x, y, attack=ladder, eps=0.4, batch_size=size) for size in (1, 64)]
    assert runs[0].result_hash == runs[1].result_hash


def test_a_survivor_keeps_the_point_of_our_last_rung_not_the_clean_image_of_third_party_code():
    rungs = (THREE[0], THREE[2], Rung("theirs", external(0.0), "exact"))
    found = climb(rungs, (30,))
    x, _ = falling_at(30)
    assert float(found.adversarial[0, 0, 0, 1] - x[0, 0, 0, 1]) == pytest.approx(9 * STRIDE, abs=1e-6)


def test_a_rung_that_leaves_the_ball_fails_the_cell_and_is_named():
    with pytest.raises(CellFailed, match="theirs: sample 1: the attack left the ball") as failure:
        climb((THREE[0], Rung("theirs", external(0.06), "exact")), (1, 9, 9), eps=0.05)
    assert failure.value.sample_ids == (1, 2)


def test_rungs_of_one_attack_start_from_points_of_their_own():
    starts = []

    def init(x, y, threat, noise):
        starts.append(noise.uniform(3))
        return Climb(x.clone())

    attack = replace(climbing(1), init=init)
    climb((Rung("a", attack, "exact"), Rung("b", attack, "exact")), (9, 9))
    assert len(starts) == 2
    assert bool((starts[0] != starts[1]).any())


def test_the_first_rung_is_the_attack_itself():
    x, y = falling_at(3, 5, 9)
    attack = rbench.load("attack", "pgd", steps=5)
    alone = rbench.evaluate(Threshold(), x, y, attack=attack, eps=0.02)
    ladder = Ladder(lambda found: (Rung("pgd", attack, "exact"),), 8, ("Linf",))
    climbed = rbench.evaluate(Threshold(), x, y, attack=ladder, eps=0.02)
    assert torch.equal(alone.adversarial, climbed.adversarial)
    assert alone.result_hash == climbed.result_hash
    assert alone.rungs == ()


# --- what the rungs are chosen by ---------------------------------------------------------------------------------


class Coded(Identity):
    def encode(self, x):
        return x.flatten(1)


class Detached(nn.Module):
    """The image itself, of which the graph knows a tenth: the slope is there, and wrong."""

    stochastic = False

    def forward(self, x):
        return 0.1 * x + (0.9 * x).detach()


@pytest.mark.parametrize(
    ("purifier", "expected"),
    [
        (Identity(), Measured(random=False, differentiable=True, changes=False, encodes=False, surrogate=False)),
        (Coded(), Measured(random=False, differentiable=True, changes=True, encodes=True, surrogate=False)),
        (
            Jpeg(),
            Measured(
                random=False,
                differentiable=False,
                changes=True,
                encodes=False,
                surrogate=True,
                trusted=False,
                path="bpda",
            ),
        ),
        (
            Shatterer(),
            Measured(
                random=False,
                differentiable=False,
                changes=True,
                encodes=False,
                surrogate=False,
                trusted=False,
                path="bpda",
            ),
        ),
        (
            Detached(),
            Measured(random=False, differentiable=True, changes=True, encodes=False, surrogate=False, trusted=False),
        ),
        (
            GaussianNoise(sigma=0.001),
            Measured(random=True, differentiable=True, changes=True, encodes=False, surrogate=False, eot=4),
        ),
    ],
    ids=["identity", "coded", "jpeg", "shatterer", "half detached", "noise"],
)
def test_a_ladder_is_told_what_was_found(purifier, expected):
    told = []

    def rungs(found):
        told.append(found)
        return (Rung("low", climbing(1), "exact"),)

    climb(rungs, (9, 9), purifier=purifier, eot=4)
    assert told == [expected]


# --- stand-ins and losses -----------------------------------------------------------------------------------------


class OneSided(nn.Module):
    """The image without a graph; its own stand-in knows of the second pixel alone."""

    stochastic = False

    def forward(self, x):
        return x.detach().clone()

    def surrogate(self, x):
        return x * torch.tensor([0.0, 1.0])


@pytest.mark.parametrize("stand_in", ["surrogate", "identity"])
def test_a_rung_goes_through_the_stand_in_that_it_names(stand_in):
    """The one moves one pixel and keeps the other, the other moves both; both are paid for on one meter."""
    x, y = falling_at(*[10] * 32)
    attack = rbench.load("attack", "pgd", steps=5)
    ladder = Ladder(lambda found: (Rung("bpda", attack, "bpda", stand_in=stand_in),), 8, ("Linf",))
    found = rbench.evaluate(Threshold(), x, y, purifier=OneSided(), attack=ladder, eps=0.05)
    assert found.audit["surrogate"].startswith("tried: ")
    assert (found.robust_accuracy.value == 0) == (stand_in == "identity")
    assert (found.samples["robust"].mean() > 0.8) == (stand_in == "surrogate")
    assert found.rungs[0].backwards == found.cost["backwards"] > 0


def test_a_rung_gets_a_loss_that_two_classes_allow():
    attack = rbench.load("attack", "pgd", steps=2, loss="dlr")
    assert climb((Rung("dlr", attack, "exact"),), (3,)).rungs[0].attacked == 1


# --- what is flagged and refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("lift", "flagged"), [(0.0, False), (0.095, True)])
def test_a_win_of_the_black_box_is_flagged(lift, flagged):
    found = climb((THREE[1], Rung("square", external(lift, knows="black-box"), "exact")), STEPS)
    assert ("black-box-wins" in found.flag_names) == flagged
    assert found.rungs[1].path == "none"
    if flagged:
        assert next(flag.value for flag in found.flags if flag.name == "black-box-wins") == 2 / 8


class Dead(nn.Module):
    """No gradient anywhere, and no sample falls."""

    stochastic = False

    def forward(self, x):
        return x.round().detach()


def test_samples_without_a_gradient_on_any_rung_through_the_purifier_are_flagged():
    x, y = falling_at(*[30] * 8)
    attack = rbench.load("attack", "pgd", steps=2)

    def rungs(*paths):
        return Ladder(lambda found: tuple(Rung(path, attack, path) for path in paths), 8, ("Linf",))

    flags = {
        paths: rbench.evaluate(Threshold(), x, y, purifier=Dead(), attack=rungs(*paths), eps=0.001).flag_names
        for paths in (("blind", "exact"), ("exact", "bpda"))
    }
    assert "zero-gradients" in flags["blind", "exact"]
    assert "zero-gradients" not in flags["exact", "bpda"]


@pytest.mark.parametrize("gradient", ["exact", "bpda", "blind"])
def test_a_ladder_takes_no_gradient_path(gradient):
    x, y = falling_at(3)
    with pytest.raises(InputError, match=f"gradient: 'adaptive' takes auto .got '{gradient}'"):
        rbench.evaluate(Threshold(), x, y, attack="adaptive", gradient=gradient)


def test_the_notes_of_third_party_rungs_are_kept():
    rungs = (Rung("theirs", external(0.0, said=lambda classes: {"targets": f"of {classes}"}), "exact"),)
    assert climb(rungs, (3,)).audit["targets"] == "of 2"
