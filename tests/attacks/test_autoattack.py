"""AutoAttack by the driver: the budgets of the authors' package, and as much fooled as by it."""

import pytest
import torch
from problems import outcomes, problem, same
from pyautoattack import AutoAttack

import rbench
from rbench.attacks import autoattack_members
from rbench.attacks.autoattack import autoattack
from rbench.attacks.autoattack_members import MEMBERS, member_of
from rbench.errors import InputError
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.threat.attack import ExternalAttack
from rbench.threat.ladder import Ladder, Measured

RADII = {"Linf": 0.012, "L2": 0.08, "L1": 0.5}
norms = pytest.mark.parametrize("norm", list(RADII))


def package(version, norm):
    """The adversary of the package, and the members that it runs."""
    members = list(MEMBERS["plus"]) if version == "custom" else None
    adversary = AutoAttack(torch.nn.Identity(), norm=norm, eps=0.1, version=version, attacks=members)
    return adversary, adversary.attacks_to_run


# --- budgets ------------------------------------------------------------------------------------------------------


@norms
@pytest.mark.parametrize("version", ["standard", "plus", "rand", "custom"])
def test_every_version_has_the_members_steps_starts_targets_and_queries_of_the_package(version, norm):
    adversary, members = package(version, norm)
    assert tuple(members) == MEMBERS.get(version, MEMBERS["plus"])
    for name in members:
        ours = member_of(name, version, norm)
        if name in ("apgd-ce", "apgd-dlr"):
            assert (ours.steps, ours.restarts) == (adversary.apgd.n_iter, adversary.apgd.n_restarts)
            assert ours.loss == name.removeprefix("apgd-")
        if name == "apgd-t":
            theirs = adversary.apgd_targeted
            assert (ours.steps, ours.restarts, ours.targets) == (
                theirs.n_iter,
                theirs.n_restarts,
                theirs.n_target_classes,
            )
        if name == "fab":
            assert ((ours.steps + 1) / 2, ours.restarts) == (adversary.fab.n_iter, adversary.fab.n_restarts)
        if name == "fab-t":  # the package sets one start before it runs this member
            assert ((ours.steps + 1) / 2, ours.restarts, ours.targets) == (
                adversary.fab.n_iter,
                1,
                adversary.fab.n_target_classes,
            )
        if name == "square":
            assert (ours.steps + 1, ours.restarts) == (adversary.square.n_queries, adversary.square.n_restarts)


def test_the_rand_version_averages_as_many_draws_as_the_package():
    adversary, _ = package("rand", "Linf")
    noisy = Measured(random=True, differentiable=True, changes=True, encodes=False, surrogate=False)
    assert {rung.eot for rung in autoattack(version="rand").rungs(noisy)} == {adversary.apgd.eot_iter}
    assert {rung.eot for rung in autoattack().rungs(noisy)} == {1}


def test_the_native_engine_is_what_a_suite_gets_and_the_reference_is_asked_for():
    assert isinstance(autoattack(), Ladder)
    assert isinstance(autoattack(engine="reference"), ExternalAttack)


# --- verdicts -----------------------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch):
    """Fewer steps and queries for both."""
    monkeypatch.setattr(autoattack_members, "STEPS", 20)
    monkeypatch.setattr(autoattack_members, "QUERIES", 200)

    def by_hand(model, x, y, norm, eps):
        with torch.random.fork_rng():
            adversary = AutoAttack(model, norm=norm, eps=eps, seed=0)
            adversary.apgd.n_iter = adversary.apgd_targeted.n_iter = adversary.fab.n_iter = 20
            adversary.square.n_queries = 200
            points, _ = adversary.run_standard_evaluation(x, y, batch_size=64)
        return model(points).argmax(1) == y

    return by_hand


@norms
@pytest.mark.parametrize(
    "times", [1.0, pytest.param(0.7, marks=pytest.mark.soak), pytest.param(1.4, marks=pytest.mark.soak)]
)
def test_it_fools_as_many_as_the_package(norm, times, short):
    model, x, y = problem(64)
    found = rbench.evaluate(model, x, y, attack=autoattack(), norm=norm, eps=times * RADII[norm])
    ours = torch.tensor(found.samples["robust"].to_numpy() == 1)
    theirs = short(model, x, y, norm, times * RADII[norm])
    assert 0 < int(theirs.sum()) < 64
    assert int(ours.sum()) <= int(theirs.sum()) + 1
    assert int((ours & ~theirs).sum()) <= 1


@norms
def test_neither_batch_nor_order_changes_a_verdict(norm, short):
    model, x, y = problem(32, side=6)
    first = outcomes(autoattack(batch_size=32), model, x, y, norm=norm, eps=RADII[norm], batch_size=32)
    order = torch.randperm(32, generator=torch.Generator().manual_seed(2))
    again = outcomes(autoattack(batch_size=16), model, x, y, norm=norm, eps=RADII[norm], batch_size=16, order=order)
    assert same(first, again)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_few_classes_are_attacked_in_full_and_the_record_says_what_was_changed(classes, short):
    model, x, y = problem(6, classes=classes)
    for version in ("standard", "plus"):
        found = rbench.evaluate(model, x, y, attack=autoattack(version=version), eps=0.3)
        assert found.robust_accuracy.value == 0
        assert f"{classes - 1} targets" in found.audit["targets"]
        assert ("margin" in found.audit.get("loss", "")) is (classes < 4)


def test_the_record_says_what_each_member_did(short):
    model, x, y = problem(24)
    found = rbench.evaluate(model, x, y, attack=autoattack(), eps=RADII["Linf"])
    assert [rung.label for rung in found.rungs] == list(MEMBERS["standard"])
    assert [rung.path for rung in found.rungs] == ["exact"] * 3 + ["none"]
    attacked = [rung.attacked for rung in found.rungs]
    assert attacked[1:] == [n - rung.fooled for n, rung in zip(attacked, found.rungs, strict=False)][:-1]


@pytest.mark.parametrize("gradient", ["exact", "bpda", "blind"])
def test_members_go_along_the_path_that_is_asked_for(gradient, short):
    model, x, y = problem(8)
    found = rbench.evaluate(
        model,
        x,
        y,
        purifier=rbench.load("purifier", "bit-depth", bits=3),
        attack=autoattack(),
        eps=0.01,
        gradient=gradient,
    )
    assert {rung.path for rung in found.rungs} == {gradient, "none"}


def test_a_random_defence_is_attacked_under_the_draws_of_the_suite(short):
    model, x, y = problem(8)
    attack = autoattack(version="custom", attacks=["apgd-ce"])
    costs = [
        rbench.evaluate(
            model, x, y, purifier=GaussianNoise(sigma=0.1), attack=attack, eps=0.001, eot=eot, select_draws=8
        )
        .rungs[0]
        .backwards
        for eot in (1, 3)
    ]
    assert costs[1] == 3 * costs[0] > 0


# --- arguments ----------------------------------------------------------------------------------------------------


def test_a_custom_version_says_how_many_starts_its_members_have(short):
    model, x, y = problem(2)
    for engine in ("native", "reference"):
        attack = autoattack(version="custom", attacks=["apgd-ce"], engine=engine)
        assert "5 starts" in rbench.evaluate(model, x, y, attack=attack, eps=0.3).audit["restarts"]
    assert "restarts" not in rbench.evaluate(model, x, y, attack=autoattack(), eps=0.3).audit


@pytest.mark.parametrize(
    ("version", "members"), [("custom", None), ("custom", []), ("standard", ["apgd-ce"]), ("custom", ["fab", "fab"])]
)
def test_members_are_for_the_custom_version_needed_there_and_named_once(version, members):
    with pytest.raises(InputError, match="attacks: "):
        autoattack(version=version, attacks=members)


def test_square_alone_knows_outputs_and_nothing_else():
    assert autoattack(version="custom", attacks=["square"]).knows == "black-box"
    assert autoattack(version="custom", attacks=["square", "fab"]).knows == "white-box"
