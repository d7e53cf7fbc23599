"""`rbench.evaluate` refuses what a suite refuses, in the same words."""

from pathlib import Path

import numpy as np
import pytest
import torch
from parts import refused
from small_runs import rbench
from torch import nn

from rbench import evaluate
from rbench.attacks.pgd import pgd
from rbench.errors import InputError
from rbench.suite.load import load_suite

SIDE, WIDEST = 4, {"L2": 4, "L1": 16}
"""Images of 16 pixel values: no two are further apart."""

SUITE = """\
suite: same
dataset: {name: npz, path: x.npz}
threat: {norm: NORM, eps: EPS}
backbones: [bundled:fashion-cnn]
attacks: [{name: ATTACK, gradient: GRADIENT, eot: EOT}]
protocol: {draws: DRAWS, decide: DECIDE, seed: SEED}
"""
USUAL = {
    "norm": "Linf",
    "eps": 0.1,
    "attack": "pgd",
    "gradient": "auto",
    "eot": 1,
    "draws": 8,
    "decide": "mean",
    "seed": 0,
}

WRONG = [
    ("eps", 8), ("eps", 0), ("eps", -0.1), ("eps", "1/0"), ("eps", "much"), ("eps", True), ("eps", float("nan")),
    ("eps", float("inf")), ("eps", None), ("norm", "L3"), ("decide", "median"), ("decide", None), ("draws", 0),
    ("draws", True), ("draws", 2.5), ("draws", 10_001), ("eot", 0), ("eot", True), ("eot", 1.5), ("seed", -1), ("seed", 1.5),
    ("seed", True), ("seed", 2**32), ("gradient", "bpa"), ("gradient", 3), ("batch_size", 0), ("batch_size", 1.5),
    ("batch_size", True),
]  # fmt: skip


def problem():
    x = torch.rand(4, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 3)), x, torch.zeros(4, dtype=torch.int64)


def written(value):
    return {True: "true", None: "null"}.get(value, value) if value is None or value is True else str(value)


def in_a_suite(folder: Path, **changes):
    """The error of a suite file with these values."""
    text = SUITE
    for name, value in {**USUAL, **changes}.items():
        text = text.replace(
            name.upper(), str(written({float("inf"): ".inf"}.get(value, ".nan") if value != value else value))
        )
    (folder / "s.yaml").write_text(text.replace(" inf", " .inf"))
    with refused(InputError) as caught:
        load_suite(folder / "s.yaml")
    return caught.value


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_argument_is_one_line_in_the_words_of_a_suite(tmp_path, name, value):
    with refused(InputError, place=name) as caught:
        evaluate(*problem(), **{**USUAL, name: value}, steps=1)
    if name != "batch_size":  # a suite has none
        there = in_a_suite(tmp_path, **{name: value})
        assert there.place.endswith((f".{name}", f".{name}[0]"))
        assert (caught.value.problem, caught.value.remedy) == (there.problem, there.remedy)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"attack": "autoattack", "eot": 2}, "eot"),
        ({"attack": "latent", "gradient": "bpda"}, "gradient"),
        ({"attack": "rays", "norm": "L2"}, "norm"),
    ],
)
def test_what_an_attack_cannot_do_is_told_in_the_same_words(tmp_path, changes, place):
    with refused(InputError, place=place) as caught:
        evaluate(*problem(), **{**USUAL, **changes})
    there = in_a_suite(tmp_path, **changes)
    assert (caught.value.problem, caught.value.remedy) == (there.problem, there.remedy)


@pytest.mark.parametrize("attack", ["pgd", pgd(steps=1)], ids=["name", "object"])
def test_a_stand_in_is_for_bpda_alone(tmp_path, attack):
    with refused(InputError, place="stand_in", found="gradient: auto", remedy="Write gradient: bpda, or leave it out."):
        evaluate(*problem(), attack=attack, stand_in=nn.Identity())
    (tmp_path / "s.yaml").write_text(
        "suite: same\ndataset: fashion-mnist-mini\nthreat: {norm: Linf, eps: 0.1}\nbackbones: [bundled:fashion-cnn]\n"
        "attacks: [{name: pgd, stand_in: identity}]\n"
    )
    with refused(InputError, problem="BPDA alone has a stand-in.", remedy="Write gradient: bpda, or leave it out."):
        load_suite(tmp_path / "s.yaml")


@pytest.mark.parametrize("norm", WIDEST)
def test_a_radius_beyond_the_images_is_refused_by_both(tmp_path, monkeypatch, capsys, norm):
    monkeypatch.chdir(tmp_path)
    net, x, y = problem()
    widest = WIDEST[norm]
    words = f"{widest + 1} is outside (0, {widest}]; no two images of 16 pixel values in [0, 1] are further apart in {norm}."
    with refused(InputError, place="eps", problem=words, remedy=f"Write at most {widest}."):
        evaluate(net, x, y, norm=norm, eps=widest + 1)
    assert evaluate(net, x, y, norm=norm, eps=widest, attack="noise").samples is not None
    np.savez("x.npz", images=x.numpy(), labels=y.numpy())
    text = SUITE
    for name, value in {**USUAL, "attack": "noise", "norm": norm, "eps": widest + 1}.items():
        text = text.replace(name.upper(), str(value))
    Path("s.yaml").write_text(text)
    assert rbench("run", "s.yaml", "--out", "run") == 2
    assert f"threat.eps: {words}" in capsys.readouterr().err
    assert not list(Path("run").glob("records/*"))


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": True}, "steps"),
        ({"restarts": float("nan")}, "restarts"),
        ({"stepz": 1}, "stepz"),
    ],
)
def test_parameters_of_an_attack_are_those_of_a_suite(params, parameter):
    with pytest.raises(InputError, match=rf"^attack 'pgd': {parameter}: ") as caught:
        evaluate(*problem(), **params)
    assert (caught.value.component, "\n" in str(caught.value)) == ("attack 'pgd'", False)
