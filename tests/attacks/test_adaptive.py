"""The ladder `adaptive`: which rungs a defence calls for, and defences that fall to one of them alone."""

from itertools import product

import pytest
import torch
from problems import problem
from test_rays import Winner
from torch import nn

import rbench
from rbench.attacks.adaptive import adaptive
from rbench.engine.defended import DefendedModel
from rbench.engine.ladder import tells_the_winner_alone
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.purifiers.identity import Identity
from rbench.testing.known_answers import ConstantClassifier, NullBackbone, NullDefence, Shatterer, null_problem
from rbench.threat.attack import IterativeAttack
from rbench.threat.batch import Batch
from rbench.threat.ladder import Measured
from rbench.threat.noise import Noise


def rungs(found=None, **params):
    facts = {"random": False, "differentiable": True, "changes": True, "encodes": False, "surrogate": False}
    return adaptive(**params).rungs(Measured(**{**facts, **(found or {})}))


def labels(**found):
    return [rung.label for rung in rungs(found)]


MOVED = ["decoder", "feature"]
CODES = ["latent", "latent-angle"]
LOGITS = ["pgd-ce", "apgd-ce", "pgd-margin"]


def test_the_rungs_fit_what_was_found():
    assert labels() == ["pgd-ce-blind", *MOVED, *LOGITS, "pgd-margin-bpda", "apgd-t", "square"]
    assert labels(surrogate=True) == labels()
    assert labels(encodes=True) == ["pgd-ce-blind", *CODES, *labels()[1:]]
    assert labels(changes=False) == ["feature", *LOGITS, "apgd-t", "square"]


def test_what_is_not_differentiable_is_met_by_stand_ins():
    assert labels(differentiable=False) == ["pgd-ce-blind", *MOVED, *LOGITS, "apgd-t", "square"]
    by_both = labels(differentiable=False, surrogate=True)
    assert by_both == ["pgd-ce-blind", *MOVED, *LOGITS, "pgd-margin-identity", "apgd-t", "square"]


def test_a_random_defence_meets_square_only_where_its_gradients_tell_nothing():
    by_logits = ["pgd-ce", "pgd-momentum", "apgd-ce", "pgd-margin", "pgd-margin-bpda", "apgd-t"]
    assert labels(random=True) == ["pgd-ce-blind", *MOVED, *by_logits]
    assert labels(random=True, differentiable=False)[-1] == "square"
    assert rungs({"random": True, "differentiable": False})[-1].attack.steps == 999
    assert rungs({"random": True, "differentiable": False}, queries=200)[-1].attack.steps == 199


def test_gradients_that_are_not_trusted_are_met_by_all_there_is():
    assert labels(random=True, trusted=False)[-1] == "square"
    by_both = labels(surrogate=True, trusted=False)
    assert by_both == [
        *("pgd-ce-blind", *MOVED, *LOGITS),
        *("pgd-margin-bpda", "pgd-margin-identity", "apgd-t", "square"),
    ]


def test_hard_labels_are_met_by_what_needs_none_and_by_rays():
    assert labels(hard_label=True) == ["pgd-ce-blind", *MOVED, "pgd-ce", "pgd-ce-bpda", "rays"]
    assert labels(hard_label=True, differentiable=False) == ["pgd-ce-blind", *MOVED, "pgd-ce", "rays"]
    assert labels(hard_label=True, differentiable=False, changes=False) == ["feature", "pgd-ce", "rays"]
    assert labels(hard_label=True, differentiable=False, norm="L2")[-2:] == ["pgd-ce", "square"]
    assert labels(hard_label=True, differentiable=False, norm="L1") == ["apgd-ce-blind", "apgd-ce", "square"]


def test_under_l1_apgd_takes_the_place_of_pgd():
    assert labels(norm="L2") == labels()
    assert labels(norm="L1") == ["apgd-ce-blind", "apgd-ce", "apgd-margin", "apgd-margin-bpda", "apgd-t", "square"]
    assert labels(norm="L1", differentiable=False, surrogate=True)[3] == "apgd-margin-identity"


def test_targets_are_fewer_where_every_gradient_is_a_mean():
    by = {random: {r.label: r.attack for r in rungs({"random": random})} for random in (False, True)}
    assert [by[random]["apgd-t"].targets for random in (False, True)] == [9, 3]
    assert {r.label: r.attack for r in rungs({"random": True}, targets=5)}["apgd-t"].targets == 5


FACTS = [
    Measured(*facts, hard_label=hard, eot=eot, norm=norm, trusted=trusted)
    for trusted in (False, True)
    for facts in product((False, True), repeat=5)
    for hard in (False, True)
    for eot in (1, 32)
    for norm in ("Linf", "L2", "L1")
]


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
@pytest.mark.parametrize("random", [False, True])
def test_every_ladder_keeps_the_rules_of_its_kind(norm, random):
    for found in (f for f in FACTS if f.norm == norm and f.random == random):
        made = adaptive(steps=7, restarts=3, queries=40).rungs(found)
        assert len({rung.label for rung in made}) == len(made), found
        assert made, found
        assert {"blind", "bpda"} <= {rung.path for rung in made} or not found.changes
        assert any(rung.attack.knows == "black-box" for rung in made) or not found.doubtful
        for rung in made:
            through = rung.path != "blind"
            assert rung.eot == (max(10, found.eot) if random and through else 1)
            assert found.differentiable or rung.path != "exact" or rung.label.startswith("latent")
            assert isinstance(rung.attack, IterativeAttack), "nothing that draws per batch"
            assert norm in rung.attack.norms
            assert rung.path in rung.attack.gradients
            black_box = rung.attack.knows == "black-box"
            assert black_box == (rung.label in ("square", "rays")) == (not rung.attack.asks_gradient)
            assert rung.attack.steps == (39 if black_box else 28 if rung.label == "pgd-momentum" else 7)
            assert rung.attack.restarts == (3 if "margin" in rung.label else 1)


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_its_batch_size_changes_nothing(norm):
    model, x, y = problem(24, side=6)
    eps = {"Linf": 0.01, "L2": 0.06, "L1": 0.3}[norm]
    runs = [
        rbench.evaluate(
            model, x, y, attack="adaptive", steps=6, restarts=1, queries=40, batch_size=size, norm=norm, eps=eps
        )
        if size == 24
        else rbench.evaluate(
            model,
            x,
            y,
            attack=adaptive(steps=6, restarts=1, queries=40, batch_size=size),
            norm=norm,
            eps=eps,
            batch_size=7,
        )
        for size in (24, 5)
    ]
    assert runs[0].result_hash == runs[1].result_hash
    assert ("apgd-margin" in fooled(runs[0])) == (norm == "L1"), "the ladder knows the norm"
    told = [[(r.label, r.attacked, r.fooled, r.backwards) for r in run.rungs] for run in runs]
    assert told[0] == told[1]
    assert 0 < runs[0].robust_accuracy.value < 1


class OffTheGrid(nn.Module):
    """The image as it is on multiples of 1 / 255, and rounded to four levels between them."""

    stochastic = False

    def forward(self, x):
        levels = 255 * x
        on_grid = ((levels - levels.round()).abs() < 1e-3).flatten(1).all(1)
        return torch.where(on_grid[:, None, None, None], x, (x * 3).round() / 3)


def test_a_purifier_that_changed_nothing_when_it_was_looked_at_is_met_blind_and_by_bpda():
    model, x, y = problem(8, side=6)
    x = (255 * x).round() / 255
    assert torch.equal(OffTheGrid()(x), x)
    found = rbench.evaluate(model, x, y, purifier=OffTheGrid(), attack="adaptive", steps=3, queries=20, eps=0.05)
    assert {"blind", "bpda"} <= {rung.path for rung in found.rungs}
    assert rbench.evaluate(model, x, y, attack="adaptive", steps=3, queries=20, eps=0.05).rungs[0].label == "feature"


# --- hard labels --------------------------------------------------------------------------------------------------


def hard(backbone, n=8, purifier=None, x=None):
    x = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0)) if x is None else x
    batch = Batch(x, torch.zeros(len(x), dtype=torch.int64), torch.arange(len(x)))
    return tells_the_winner_alone(DefendedModel(purifier or Identity(), backbone), batch, Noise(0))


class Tied(Winner):
    """Two values, but the winning class is not told."""

    def forward(self, x):
        told = super().forward(x)
        return torch.cat([told, told], 1)


class Saturated(nn.Module):
    """Probabilities that float32 rounds to 0 and 1 where the model is sure, as it is of every image it was trained on."""

    def __init__(self, classes=2):
        super().__init__()
        self.classes = classes

    def forward(self, x):
        lead = 150 * (x.flatten(1).mean(1) - 0.5)
        return torch.stack([-lead, *[lead] * (self.classes - 1)], 1).softmax(1)


@pytest.mark.parametrize("n", [1, 8])
@pytest.mark.parametrize("classes", [2, 10])
def test_outputs_that_tell_the_winner_alone_are_found(n, classes):
    model, _, _ = problem(1, classes=classes)
    assert hard(Winner(model), n)
    assert not hard(model, n)
    assert not hard(Tied(model), n)
    assert hard(Winner(model), n, GaussianNoise(sigma=0.1))


def test_outputs_that_have_only_saturated_are_not_taken_for_hard_labels():
    sure = torch.full((8, 1, 8, 8), 0.1)
    assert set(Saturated()(sure).unique().tolist()) == {0, 1}
    assert not hard(Saturated(), x=sure)


def test_hard_labels_fall_to_rays_and_the_win_of_the_black_box_is_told():
    model, x, y = problem(30, side=6)
    found = rbench.evaluate(Winner(model), x, y, attack="adaptive", steps=5, queries=600, eps=0.06)
    by = {rung.label: rung.fooled for rung in found.rungs}
    assert list(by) == ["feature", "pgd-ce", "rays"]
    assert by["rays"] > by["pgd-ce"]
    assert "black-box-wins" in found.flag_names


def test_a_constant_classifier_stands_and_its_zero_gradients_are_told():
    x, y = torch.rand(20, 1, 6, 6, generator=torch.Generator().manual_seed(0)), torch.zeros(20, dtype=torch.int64)
    found = rbench.evaluate(ConstantClassifier(attached=True), x, y, attack="adaptive", steps=2, queries=20)
    assert found.robust_accuracy.value == 1
    assert "zero-gradients" in found.flag_names


# --- defences that fall to it alone -------------------------------------------------------------------------------


class Rippled(nn.Module):
    """Mirrors the image under a ripple too small to matter and too steep to differentiate through.

    The slope of the ripple is up to ten times that of the image, so the exact gradient points nowhere; a blind attacker moves the
    wrong pixels, and so does the identity in its place.
    """

    stochastic = False

    def forward(self, x):
        return x.flip(3) + 0.002 * torch.sin(5000 * x.flip(3))


class Confessing(Rippled):
    """The same, with a stand-in that tells."""

    def surrogate(self, x):
        return x.flip(3)


class Encoding(Rippled):
    """The same, with a code that tells."""

    def encode(self, x):
        return x[..., :4].mean((1, 2, 3))[:, None]


class Half(nn.Module):
    """Of an 8x8 image the last columns speak for class 1, the first ones against it."""

    def forward(self, x):
        height = 40 * (x[..., 4:].mean((1, 2, 3)) - 0.5) - 20 * (x[..., :4].mean((1, 2, 3)) - 0.5)
        return torch.stack([-height, height], 1)


@pytest.fixture
def halves():
    x = torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.41
    return x, torch.zeros(24, dtype=torch.int64)


def fooled(found):
    return {rung.label: rung.fooled for rung in found.rungs}


def test_a_defence_that_shatters_gradients_falls_to_the_ladder_and_not_to_exact_pgd(halves):
    """APGD's first steps are as long as the ball, so some samples fall to where they happen to lead."""
    x, y = halves
    common = {"purifier": Confessing(), "eps": 0.06}
    plain = rbench.evaluate(Half(), x, y, attack="pgd", steps=50, restarts=2, **common)
    assert plain.gradient == "exact"
    assert plain.samples["robust"].mean() == 1
    found = rbench.evaluate(Half(), x, y, attack="adaptive", **common)
    assert found.robust_accuracy.value == 0
    by = fooled(found)
    assert by["pgd-margin-bpda"] == 24 - by["apgd-ce"] > 0
    assert by["pgd-ce"] == by["pgd-margin"] == by["square"] == 0


def test_a_code_that_tells_is_enough_for_half_of_the_samples(halves):
    """The code is pushed away from the clean one, up or down: half of the time this is where the wrong class lies."""
    x, y = halves
    common = {"purifier": Encoding(), "eps": 0.06}
    assert rbench.evaluate(Half(), x, y, attack="pgd", **common).samples["robust"].mean() > 0.9
    found = rbench.evaluate(Half(), x, y, attack="adaptive", queries=500, **common)
    assert 6 <= fooled(found)["latent"] <= 18
    assert fooled(found)["latent-angle"] == 0
    assert found.robust_accuracy.value == 0


def test_a_quantiser_falls_through_its_stand_in():
    x = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 0.8 + 0.1
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    y = net(Shatterer()(x)).argmax(1)
    common = {"purifier": Shatterer(), "eps": "48/255"}
    assert rbench.evaluate(net, x, y, attack="pgd", gradient="exact", **common).samples["robust"].mean() > 0.8
    found = rbench.evaluate(net, x, y, attack="adaptive", **common)
    assert found.robust_accuracy.value == 0
    assert found.gradient == "bpda"
    assert "zero-gradients" not in found.flag_names


def test_the_null_defence_is_as_right_under_the_ladder_as_without():
    x, y = null_problem(100)
    found = rbench.evaluate(
        NullBackbone(), x, y, purifier=NullDefence(), attack="adaptive", steps=2, queries=10, eps="8/255"
    )
    assert found.robust_accuracy.low <= 0.9 <= found.robust_accuracy.high
    assert "no-eot" not in found.flag_names
    # Ten draws for each of two gradients, and every sample stands on some draw.
    assert {rung.label: rung.backwards for rung in found.rungs}["pgd-ce"] == 100 * 2 * 10


@pytest.mark.parametrize(("classes", "noted"), [(3, True), (10, False)])
def test_the_record_says_what_few_classes_changed(classes, noted):
    model, x, y = problem(4, classes=classes)
    audit = rbench.evaluate(model, x, y, attack="adaptive", steps=1, queries=2, eps=0.01).audit
    assert ("targets" in audit) == ("loss" in audit) == noted
    if noted:
        assert audit["targets"] == "2 targets (9 asked for; the backbone has 3 classes)"
        assert audit["loss"] == "margin-targeted instead of dlr-targeted (3 classes)"
