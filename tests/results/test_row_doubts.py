"""Rows that must not rank: on gradients that mislead, near chance, or on cells that disagree about clean images."""

import numpy as np
import pytest
from made_runs import Made

from rbench.results.record import AttackPart, DatasetPart, Flag, RungPart
from rbench.results.runs import read_runs
from rbench.results.table import table

N = 1000
EVERY = np.ones(N, bool)


def standing(fooled, n=N):
    right = np.ones(n, bool)
    right[:fooled] = False
    return right


def rows(root):
    return {row["purifier"]: row for row in table(read_runs([root])).rows()}


def doubts(root):
    (found,) = table(read_runs([root])).doubts
    return {flag.name: flag for flag in found}


# --- provisional --------------------------------------------------------------------------------------------------

TRUSTED = {
    "reaches_input": True,
    "zero_gradient_share": 0.0,
    "non_finite_gradient_share": 0.0,
    "slope_error": 0.01,
    "checkpointed_error": None,
}
BOX = {"knows": "black-box"}


@pytest.mark.parametrize(
    ("changes", "raised"),
    [
        ({}, False),
        ({"zero_gradient_share": 0.0625}, False),
        ({"zero_gradient_share": 0.125}, True),
        ({"non_finite_gradient_share": 1.0}, True),
        ({"slope_error": 0.09}, False),
        ({"slope_error": 0.5}, True),
        ({"slope_error": 0.4, "low_precision": "float16"}, False),
        ({"slope_error": 0.9, "low_precision": "float16"}, True),
        ({"zero_gradient_share": 0.0625, "useless_gradient_share": 0.125}, True),
        ({"batch_gradient_error": 0.09}, False),
        ({"batch_gradient_error": 0.5}, True),
        ({"checkpointed_error": 0.5}, True),
        ({"reaches_input": False}, True),
        ({"stand_in_misleads": True}, True),
    ],
)
@pytest.mark.parametrize("path", ["exact", "bpda", "blind"])
def test_gradients_that_may_mislead_need_a_black_box(tmp_path, changes, raised, path):
    made = Made(tmp_path)
    measured = {"audit": {**TRUSTED, **changes}}
    made.done("pgd", clean=EVERY, robust=standing(100), record_changes={**measured, "gradient": path})
    made.done("noise", clean=EVERY, robust=standing(10), record_changes={**measured, "knows": "noise"})
    assert ("provisional" in doubts(tmp_path)) == raised
    made.done("square", clean=EVERY, robust=standing(90), record_changes={**measured, **BOX})
    assert "provisional" not in doubts(tmp_path)


def test_records_that_say_nothing_of_gradients_are_not_provisional(tmp_path):
    Made(tmp_path).done("pgd", clean=EVERY, robust=standing(100), record_changes={"audit": {}})
    assert "provisional" not in doubts(tmp_path)


@pytest.mark.parametrize(
    ("flag", "raised"),
    [
        (Flag(name="wrong-gradient", value=0.5), True),
        (Flag(name="no-gradient-path"), True),
        (Flag(name="zero-gradients", value=0.9), True),
        (Flag(name="zero-gradients", value=0.02), False),
        (Flag(name="unstable", value=0.9), False),
    ],
    ids=lambda value: value if isinstance(value, bool) else f"{value.name} {value.value}",
)
def test_what_was_seen_during_the_attack_counts_as_well(tmp_path, flag, raised):
    changes = {"audit": TRUSTED, "flags": (flag,)}
    Made(tmp_path).done("pgd", clean=EVERY, robust=standing(100), record_changes=changes)
    assert ("provisional" in doubts(tmp_path)) == raised


def test_a_black_box_on_the_bare_backbone_is_none(tmp_path):
    made = Made(tmp_path)
    bad = {"audit": {**TRUSTED, "slope_error": 0.9}}
    made.done("square", clean=EVERY, robust=standing(90), record_changes={**bad, **BOX, "gradient": "blind"})
    assert "provisional" in doubts(tmp_path)


@pytest.mark.parametrize(
    ("name", "params", "is_one"),
    [
        ("autoattack", {"version": "standard", "attacks": None}, True),
        ("autoattack", {"version": "plus", "attacks": None}, True),
        ("autoattack", {"version": "rand", "attacks": None}, False),
        ("autoattack", {"version": "custom", "attacks": ["apgd-ce", "square"]}, True),
        ("autoattack", {"version": "custom", "attacks": ["apgd-ce", "fab-t"]}, False),
        ("torchattacks:AutoAttack", {"version": "standard"}, True),
        ("torchattacks:AutoAttack", {"version": "rand"}, False),
        ("of-somebody", {"version": "standard", "attacks": ["square"]}, False),
    ],
)
def test_a_member_of_autoattack_is_a_black_box(tmp_path, name, params, is_one):
    attack = AttackPart(name=name, label="aa", params=params, gradient="exact", knows="white-box")
    bad = {"audit": {**TRUSTED, "slope_error": 0.9}, "attack": attack}
    Made(tmp_path).done("aa", clean=EVERY, robust=standing(90), record_changes=bad)
    assert ("provisional" not in doubts(tmp_path)) == is_one


@pytest.mark.parametrize(("path", "raised"), [("bpda", True), ("none", False)])
def test_of_a_ladder_the_black_box_rung_counts(tmp_path, path, raised):
    rungs = tuple(
        RungPart(label=label, path=along, attacked=10, fooled=0, backwards=10, seconds=1.0)
        for label, along in {"pgd-ce": "bpda", "last": path}.items()
    )
    changes = {"rungs": rungs, "audit": {**TRUSTED, "zero_gradient_share": 1.0}}
    Made(tmp_path).done("adaptive", clean=EVERY, robust=standing(100), record_changes=changes)
    assert ("provisional" in doubts(tmp_path)) == raised


def test_a_provisional_row_ranks_below_all_others(tmp_path):
    made = Made(tmp_path)
    bad = {"audit": {**TRUSTED, "slope_error": 0.9}}
    for purifier, fooled, changes, verified in (
        ("loud", 0, bad, True),
        ("louder", 0, bad, False),
        ("good", 100, {}, True),
        ("unseen", 50, {}, False),
        ("weak", 900, {}, False),
    ):
        made.done(
            clean=EVERY,
            robust=standing(fooled),
            record_changes=changes,
            cell_changes={"purifier": purifier},
            verified=verified,
        )
    ranks = {purifier: row["rank"] for purifier, row in rows(tmp_path).items()}
    assert ranks == {"good": 1, "unseen": 2, "weak": 3, "loud": 4, "louder": 5}


# --- near chance --------------------------------------------------------------------------------------------------


def add(made, right, *, purifier="jpeg", classes=10, n=N, **cell_changes):
    part = DatasetPart(name="toy", label="toy", samples=n, sha256="data", classes=classes)
    clean = ~standing(n - right, n)[::-1]
    made.done(
        clean=~clean,
        robust=~clean,
        record_changes={"dataset": part},
        cell_changes={"purifier": purifier, **cell_changes},
    )


@pytest.mark.parametrize(
    ("right", "classes", "n", "raised"),
    [
        (115, 10, N, True),  # P(X >= 115) = 0.064
        (117, 10, N, False),  # P(X >= 117) = 0.042
        (20, 10, N, True),
        (0, 10, N, True),
        (510, 2, N, True),
        (600, 2, N, False),
        (1, 10, 4, True),
        (4, 10, 4, False),
        (100, None, N, False),
    ],
)
def test_what_guessing_gives_is_near_chance(tmp_path, right, classes, n, raised):
    add(Made(tmp_path), right, classes=classes, n=n)
    assert ("near-chance" in doubts(tmp_path)) == raised


@pytest.mark.parametrize(("right", "raised"), [(449, True), (450, False)])
def test_less_than_half_of_what_the_bare_backbone_has_is_flagged(tmp_path, right, raised):
    made = Made(tmp_path)
    add(made, 900, purifier="identity")
    add(made, right)
    add(made, right, backbone="other")
    found = table(read_runs([tmp_path]))
    flagged = {(row["purifier"], row["backbone"]): "near-chance" in row["flags"] for row in found.rows()}
    assert flagged == {("identity", "cnn"): False, ("jpeg", "cnn"): raised, ("jpeg", "other"): False}


def test_the_undefended_row_of_another_radius_counts_as_well(tmp_path):
    made = Made(tmp_path)
    add(made, 900, purifier="identity", eps="4/255")
    add(made, 300)
    assert "near-chance" in rows(tmp_path)["jpeg"]["flags"]


def test_nothing_in_front_of_a_backbone_that_guesses_is_believed(tmp_path):
    made = Made(tmp_path)
    add(made, 105, purifier="identity")
    add(made, 130)
    found = rows(tmp_path)
    assert "near-chance" in found["identity"]["flags"]
    assert "near-chance" in found["jpeg"]["flags"]


# --- cells that disagree ------------------------------------------------------------------------------------------


def two(root, clean, other, **changes):
    made = Made(root)
    made.done("first", clean=clean, robust=clean, record_changes=changes)
    made.done("second", clean=other, robust=other)
    (row,) = table(read_runs([root])).rows()
    return row


@pytest.mark.parametrize(("differing", "refused"), [(0, False), (1, False), (2, True), (300, True)])
def test_cells_that_disagree_about_clean_images_make_no_row(tmp_path, differing, refused):
    """One in a thousand may be a near tie: cells run in batches of other sizes, which round otherwise."""
    row = two(tmp_path, EVERY, standing(differing))
    assert row["status"] == ("mixed: first and second met other predictions without an attack" if refused else "done")
    assert (row["robust_accuracy"] is None) == (row["rank"] is None) == refused


def test_one_of_a_few_is_no_near_tie(tmp_path):
    assert two(tmp_path, standing(0, 8), standing(1, 8))["status"].startswith("mixed")


@pytest.mark.parametrize(
    "changes",
    [
        {"audit": {"reproducible": False}},
        {"audit": {"batch_difference": 0.1}},
        {"audit": {"global_generator": True}},
        {"flags": (Flag(name="batch-dependent", value=0.1),)},
        {"flags": (Flag(name="not-reproducible"),)},
    ],
    ids=str,
)
@pytest.mark.parametrize(("differing", "refused"), [(50, False), (51, True)])
def test_where_single_predictions_say_nothing_accuracies_are_compared(tmp_path, changes, differing, refused):
    row = two(tmp_path, EVERY, standing(differing), **changes)
    assert row["status"].startswith("mixed") == refused
    assert two(tmp_path / "swapped", standing(differing), EVERY, **changes)["status"].startswith("mixed") == refused
