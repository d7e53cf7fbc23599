"""What an attacker used is in the record; of older records it is read from what our attacks say of themselves, and no code is run."""

import pytest
from made_runs import Made, document, record

from rbench.results.attacker import attacker_of
from rbench.results.record import AttackPart, RungPart
from rbench.results.runs import read_runs
from rbench.results.table import table


def older(name, *, params=None, gradient="exact", **changes):
    """A record as they were before it said what the attacker used."""
    attack = AttackPart(name=name, label=name, gradient=gradient, params=params or {})
    return record(document(name), attack=attack, **changes)


def test_a_record_that_says_what_its_attacker_used_is_believed():
    assert attacker_of(record(document("square"), knows="white-box", steps=7)) == ("white-box", 7)
    assert attacker_of(record(document("mine"), knows="black-box")) == ("black-box", None)


@pytest.mark.parametrize(
    ("knows", "seen"), [("white-box", "blind"), ("transfer", "transfer"), ("black-box", "black-box")]
)
def test_who_follows_the_bare_backbone_is_blind_whatever_else_he_could_have_used(knows, seen):
    assert attacker_of(record(document("pgd"), knows=knows, gradient="blind")).knows == seen


@pytest.mark.parametrize(
    ("name", "knows"),
    [
        ("pgd", "white-box"),
        ("apgd", "white-box"),
        ("latent", "white-box"),
        ("adaptive", "white-box"),
        ("autoattack", "white-box"),
        ("square", "black-box"),
        ("rays", "black-box"),
        ("noise", "noise"),
        ("transfer", "transfer"),
        ("torchattacks:PGD", "white-box"),
        ("torchattacks:Square", "black-box"),
        ("torchattacks:Pixle", "black-box"),
        ("torchattacks:SPSA", "black-box"),
        ("torchattacks:OnePixel", "black-box"),
        ("somebody:Square", "white-box"),
        ("nobody knows it", "white-box"),
    ],
)
def test_an_older_record_is_read_by_what_our_attacks_say_today(name, knows):
    assert attacker_of(older(name)).knows == knows


@pytest.mark.parametrize(
    ("name", "params", "loss", "steps"),
    [
        ("fgsm", {"loss": "ce"}, "ce", 1),
        ("pgd", {"steps": 40}, "margin", 40),
        ("apgd", {"steps": 100}, "dlr-targeted", 100),
        ("torchattacks:FGSM", {}, None, 1),
        ("torchattacks:PGD", {"steps": 10}, None, 10),
        ("latent", {"steps": 50}, "latent-angle", None),
        ("autoattack", {"version": "standard"}, None, None),
        ("square", {"queries": 5000}, "margin", None),
        ("a plug-in", {"steps": "many"}, None, None),
    ],
)
def test_the_steps_of_an_older_record_are_those_up_a_loss_of_the_label(name, params, loss, steps):
    assert attacker_of(older(name, params=params, audit={"loss": loss} if loss else {})).steps == steps


def test_a_ladder_has_no_steps_of_its_own():
    rung = RungPart(label="pgd-ce", path="exact", attacked=4, fooled=2, backwards=10, seconds=1.0)
    assert attacker_of(older("adaptive", params={"steps": 50}, rungs=(rung,))).steps is None


def test_rays_can_win_as_a_black_box_attack(tmp_path):
    made = Made(tmp_path)
    made.done("pgd", clean=[1] * 200, robust=[1] * 200)
    made.done("rays", clean=[1] * 200, robust=[0] * 200, record_changes={"attack": older("rays").attack})
    (flags,) = table(read_runs([tmp_path])).doubts
    assert "black-box-wins" in {flag.name for flag in flags}


PLUGIN = """
raise RuntimeError("imported because a record names it")
KNOWS = "black-box"

def sly():
    "An attack."
"""


def test_reading_an_older_record_neither_runs_nor_believes_a_plugin_that_it_names(plugins):
    plugins.add("sly-attacks", {"sly_attacks": PLUGIN}, {"rbench.attacks": {"sly": "sly_attacks:sly"}})
    assert attacker_of(older("sly")).knows == "white-box"
