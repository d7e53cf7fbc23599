"""Flags that need several cells are raised above their thresholds and not below."""

import numpy as np
import pytest
from made_runs import Made

from rbench.results.record import RungPart
from rbench.results.runs import read_runs
from rbench.results.table import table

N = 1000
EVERY = np.ones(N, bool)


def standing(fooled, start=0):
    """All but `fooled` samples from `start` on are right."""
    right = EVERY.copy()
    right[start : start + fooled] = False
    return right


def flags(root):
    (doubts,) = table(read_runs([root])).doubts
    return {flag.name: flag for flag in doubts}


BLACK_BOX, TRANSFER, NOISE = {"knows": "black-box"}, {"knows": "transfer", "gradient": "blind"}, {"knows": "noise"}


@pytest.mark.parametrize(("fooled", "raised"), [(0, False), (2, False), (3, True), (50, True)])
def test_a_black_box_attack_wins_above_a_fifth_of_a_point(tmp_path, fooled, raised):
    made = Made(tmp_path)
    made.done("pgd", clean=EVERY, robust=standing(400))
    made.done("box", clean=EVERY, robust=standing(fooled, 400), record_changes=BLACK_BOX)
    found = flags(tmp_path)
    assert ("black-box-wins" in found) == raised
    if raised:
        assert found["black-box-wins"].value == pytest.approx(fooled / N)
        assert "box" in found["black-box-wins"].detail


def test_a_black_box_attack_wins_nothing_against_blind_ones(tmp_path):
    made = Made(tmp_path)
    made.done("blind", clean=EVERY, robust=standing(0), record_changes={"gradient": "blind"})
    made.done("box", clean=EVERY, robust=standing(500), record_changes=BLACK_BOX)
    assert "black-box-wins" not in flags(tmp_path)


@pytest.mark.parametrize(("fooled", "raised"), [(10, False), (11, True)])
def test_a_transfer_attack_wins_above_one_percent(tmp_path, fooled, raised):
    made = Made(tmp_path)
    made.done("pgd", clean=EVERY, robust=standing(400))
    made.done("crafted", clean=EVERY, robust=standing(fooled, 400), record_changes=TRANSFER)
    assert ("transfer-wins" in flags(tmp_path)) == raised


@pytest.mark.parametrize(("fooled", "raised"), [(10, False), (11, True)])
def test_noise_wins_above_one_percent_whether_an_attack_or_the_calibration(tmp_path, fooled, raised):
    attacked, calibrated = Made(tmp_path / "a"), Made(tmp_path / "b")
    attacked.done("pgd", clean=EVERY, robust=standing(400))
    attacked.done("uniform", clean=EVERY, robust=standing(fooled, 400), record_changes=NOISE)
    calibrated.done("pgd", clean=EVERY, robust=standing(400), noise=standing(fooled, 400))
    assert ("noise-wins" in flags(tmp_path / "a")) == raised
    assert ("noise-wins" in flags(tmp_path / "b")) == raised


def test_noise_wins_nothing_on_samples_that_were_wrong_before(tmp_path):
    Made(tmp_path).done("pgd", clean=standing(300), robust=EVERY, noise=standing(300))
    assert "noise-wins" not in flags(tmp_path)


BLIND = {"gradient": "blind"}


@pytest.mark.parametrize(("fooled", "raised"), [(310, False), (311, True)])
@pytest.mark.parametrize("knows", ["white-box", "black-box"])
def test_blind_attacks_win_more_than_a_point_below_every_attack_that_knows_the_defence(tmp_path, fooled, raised, knows):
    made = Made(tmp_path)
    made.done("weak", clean=EVERY, robust=standing(100, 500))
    made.done("strong", clean=EVERY, robust=standing(300), record_changes={"knows": knows})
    made.done("blind", clean=EVERY, robust=standing(200), record_changes=BLIND)
    made.done("blind too", clean=EVERY, robust=standing(fooled - 200, 200), record_changes=BLIND)
    found = flags(tmp_path)
    assert ("blind-wins" in found) == raised
    if raised:
        assert found["blind-wins"].value == pytest.approx(0.011)
        assert found["blind-wins"].detail == "blind, blind too: 1.1 points below strong"


@pytest.mark.parametrize("other", [TRANSFER, NOISE, BLIND])
def test_blind_attacks_win_over_none_that_does_not_know_the_defence(tmp_path, other):
    made = Made(tmp_path)
    made.done("other", clean=EVERY, robust=standing(0), record_changes=other)
    made.done("blind", clean=EVERY, robust=standing(500), record_changes=BLIND)
    assert "blind-wins" not in flags(tmp_path)


def test_around_the_identity_no_attack_is_blind(tmp_path):
    for purifier in ("identity", "blur"):
        made = Made(tmp_path / purifier)
        made.done("pgd", clean=EVERY, robust=standing(0), cell_changes={"purifier": purifier})
        made.done("blind", clean=EVERY, robust=standing(500), record_changes=BLIND, cell_changes={"purifier": purifier})
    assert "blind-wins" not in flags(tmp_path / "identity")
    assert "blind-wins" in flags(tmp_path / "blur")


def test_samples_that_were_wrong_before_are_no_win_of_a_blind_attack(tmp_path):
    made = Made(tmp_path)
    made.done("pgd", clean=standing(400), robust=EVERY)
    made.done("blind", clean=standing(400), robust=standing(400), record_changes=BLIND)
    assert "blind-wins" not in flags(tmp_path)


@pytest.mark.parametrize("one", ["exact", "blind"])
def test_one_step_wins_over_whatever_takes_many_along_the_same_path(tmp_path, one):
    made = Made(tmp_path)
    made.done("once", clean=EVERY, robust=standing(401), record_changes={"steps": 1, "gradient": one})
    made.done("other", clean=EVERY, robust=standing(400), record_changes={"steps": 40, "gradient": "bpda"})
    assert "one-step-wins" not in flags(tmp_path)
    made.done("same", clean=EVERY, robust=standing(400), record_changes={"steps": 40, "gradient": one})
    found = flags(tmp_path)["one-step-wins"]
    assert found.value == pytest.approx(0.001)
    assert found.detail == "once: 0.1 points below same"
    made.done("longer", clean=EVERY, robust=standing(450), record_changes={"steps": 400, "gradient": one})
    assert "one-step-wins" not in flags(tmp_path)


@pytest.mark.parametrize("used", [{"steps": 1}, {"steps": None}, {"steps": 40, **BLACK_BOX}, {"steps": 40, **TRANSFER}])
def test_one_step_wins_over_nothing_that_takes_no_steps_along_its_path(tmp_path, used):
    made = Made(tmp_path)
    made.done("once", clean=EVERY, robust=standing(401), record_changes={"steps": 1})
    made.done("other", clean=EVERY, robust=standing(400), record_changes=used)
    assert "one-step-wins" not in flags(tmp_path)


def test_the_luck_of_a_random_defence_raises_no_flag(tmp_path):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        made = Made(tmp_path / str(seed))
        clean = rng.random((300, 8)) < 0.7
        for used in ({"steps": 1}, {"steps": 40}, BLACK_BOX, TRANSFER, NOISE, BLIND):
            drawn = {kind: rng.random((300, 8)) < 0.7 for kind in ("robust", "select", "noise", "clean_select")}
            made.done(str(used), clean=clean, record_changes={"stochastic": True, **used}, **drawn)
        assert not flags(made.root)


def test_a_random_defence_that_falls_to_a_black_box_attack_is_flagged(tmp_path):
    rng = np.random.default_rng(0)
    made, clean = Made(tmp_path), rng.random((300, 8)) < 0.9
    for knows, p in {"white-box": 0.9, "black-box": 0.5}.items():
        drawn = {kind: rng.random((300, 8)) < p for kind in ("robust", "select")}
        changes = {"stochastic": True, "knows": knows}
        made.done(knows, clean=clean, record_changes=changes, **drawn)
    assert flags(tmp_path)["black-box-wins"].value == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize(("n", "raised"), [(99, True), (100, False)])
def test_fewer_than_a_hundred_samples_are_few(tmp_path, n, raised):
    Made(tmp_path).done("pgd", clean=EVERY[:n], robust=EVERY[:n])
    assert ("few-samples" in flags(tmp_path)) == raised


@pytest.mark.parametrize(
    ("first", "second", "raised"),
    [
        (standing(400), standing(400), False),  # equal: nothing to tell apart
        (standing(400), standing(405), True),  # 5 disagreements, all one way: p = 2 / 2**5 = 0.0625
        (standing(400), standing(406), False),  # 6: p = 2 / 2**6 = 0.031
        (standing(30), standing(29, start=30), True),  # 30 against 29
    ],
    ids=["equal", "five", "six", "thirty against twenty-nine"],
)
def test_neighbours_that_mcnemar_cannot_tell_apart_are_flagged_both(tmp_path, first, second, raised):
    made = Made(tmp_path)
    made.done("pgd", clean=EVERY, robust=first, cell_changes={"purifier": "a"})
    made.done("pgd", clean=EVERY, robust=second, cell_changes={"purifier": "b"})
    expected = ["few-samples"] if raised else []
    doubts = table(read_runs([tmp_path])).doubts
    assert [[flag.name for flag in row] for row in doubts] == [expected, expected]
    assert all(flag.value > 0.05 and "cannot be told from" in flag.detail for row in doubts for flag in row)


REACHED = {"reaches_input": True, "zero_gradient_share": 0.0}


@pytest.mark.parametrize(
    ("gradients", "audit", "raised"),
    [
        (("bpda", "blind"), REACHED, True),
        (("blind",), REACHED, True),
        (("bpda", "exact"), REACHED, False),
        (("checkpointed",), REACHED, False),
        (("bpda",), {"reaches_input": False, "zero_gradient_share": 1.0}, False),
        (("bpda",), {"reaches_input": True, "zero_gradient_share": 0.6}, False),
    ],
)
def test_gradients_that_go_around_a_purifier_that_has_one_are_weak(tmp_path, gradients, audit, raised):
    made = Made(tmp_path)
    for gradient in gradients:
        made.done(gradient, clean=EVERY, robust=standing(100), record_changes={"gradient": gradient, "audit": audit})
    assert ("weak-gradient" in flags(tmp_path)) == raised


@pytest.mark.parametrize("used", [BLACK_BOX, NOISE])
def test_an_attack_that_asks_for_no_gradient_is_no_strong_one(tmp_path, used):
    made = Made(tmp_path)
    around, free = ({"gradient": path, "audit": REACHED} for path in ("bpda", "exact"))
    made.done("bpda", clean=EVERY, robust=standing(100), record_changes=around)
    made.done("free", clean=EVERY, robust=standing(100), record_changes={**free, **used})
    assert "bpda alone" in flags(tmp_path)["weak-gradient"].detail


@pytest.mark.parametrize(("path", "raised"), [("exact", False), ("checkpointed", False), ("bpda", True)])
def test_of_a_ladder_the_rungs_count(tmp_path, path, raised):
    rungs = [
        RungPart(label=label, path=along, attacked=10, fooled=0, backwards=10, seconds=1.0)
        for label, along in {"pgd-ce-blind": "blind", "pgd-ce": path, "square": "none"}.items()
    ]
    changes = {"gradient": "exact", "audit": REACHED, "rungs": tuple(rungs)}
    Made(tmp_path).done("adaptive", clean=EVERY, robust=standing(100), record_changes=changes)
    assert ("weak-gradient" in flags(tmp_path)) == raised


def test_around_the_identity_every_gradient_is_exact(tmp_path):
    made = Made(tmp_path)
    made.done(
        "bpda",
        clean=EVERY,
        robust=standing(100),
        record_changes={"gradient": "bpda", "audit": REACHED},
        cell_changes={"purifier": "identity"},
    )
    assert "weak-gradient" not in flags(tmp_path)
