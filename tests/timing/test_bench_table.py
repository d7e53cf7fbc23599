"""A row of the bench against other libraries."""

import pytest
import torch
from torch import nn

from bench import references, table
from bench.budgets import Budget, Size
from bench.models import MissingPartError, Model, model_of
from bench.null_model import null_model
from bench.references import REFERENCES, missing, perturb_of
from rbench.purifiers.identity import Identity
from rbench.threat.batch import Batch

SMALL = Size(32, 3, Budget(pgd=3, steps=4, targets=2, queries=6))


def test_a_row_has_both_sides_and_says_which_library_is_not_there(monkeypatch):
    def without(library):
        return "not installed: No module named 'foolbox'" if library != "torchattacks" else missing(library)

    monkeypatch.setattr(references, "missing", without)
    found = table.compared(null_model(), "pgd", 1e-6, SMALL)
    assert found["rbench"]["robust"] == found["references"]["torchattacks"]["robust"] == 1
    assert found["rbench"]["P"] == pytest.approx(1.0)
    assert found["references"]["torchattacks"]["P"] == pytest.approx(2 * 3 / (2 * 3 + 1)), "it does not look at the end"
    assert found["references"]["torchattacks"]["ratio"] > 0
    assert found["references"]["foolbox"] == {"missing": "not installed: No module named 'foolbox'"}
    assert found["pairs"] == 3


def test_autoattack_has_the_same_verdicts_by_both_where_none_is_near():
    found = table.compared(null_model(), "autoattack", 1e-6, Size(32, 1, Budget(steps=4, targets=2, queries=6)))
    theirs = found["references"]["pyautoattack"]
    assert theirs["differ"] == 0
    assert found["rbench"]["passes"] <= theirs["passes"]


def test_a_point_beyond_the_ball_fools_nobody():
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        net[1].bias.copy_(torch.tensor([-0.5, 0.5]))
    x = torch.full((3, 1, 1, 1), 0.55)
    model = Model("step", Identity(), net, Batch(x, torch.zeros(3, dtype=torch.int64), torch.arange(3)))
    points = torch.tensor([0.54, 0.46, 0.2]).reshape(3, 1, 1, 1)
    assert table._fooled(model, points, 0.1).tolist() == [False, True, False]


def test_a_library_that_cannot_be_imported_says_why(monkeypatch):
    def broken(name):
        raise RuntimeError("too old for this Python")

    monkeypatch.setattr(references, "import_module", broken)
    why = missing("foolbox")
    assert why == "cannot be imported: RuntimeError('too old for this Python')"
    monkeypatch.setattr(references, "missing", lambda library: why)
    with pytest.raises(MissingPartError, match="too old"):
        perturb_of("foolbox", "pgd")


def test_models_without_data_say_what_to_give():
    with pytest.raises(MissingPartError, match="--cifar"):
        model_of("d", 4)
    with pytest.raises(MissingPartError, match=r"nowhere\.parquet"):
        model_of("d", 4, cifar="nowhere.parquet")


@pytest.mark.parametrize("letter", ["a", "b", "c"])
def test_images_of_a_model_are_those_it_gets_right(letter):
    model = model_of(letter, 8)
    assert len(model.clean) == 8
    assert model.bare(model.clean.x).argmax(1).tolist() == model.clean.y.tolist()


@pytest.mark.parametrize(("attack", "library"), [(a, b) for a, some in REFERENCES.items() for b in some])
def test_every_library_that_is_here_stays_in_the_ball(attack, library):
    if missing(library):
        pytest.skip(missing(library))
    model = model_of("b", 4)
    points = perturb_of(library, attack)(model.bare, model.clean.x, model.clean.y, 0.1, SMALL.budget)
    assert points.shape == model.clean.x.shape
    if (attack, library) != ("fab-t", "adv-lib"):  # it looks for the nearest point wherever that is
        assert (points - model.clean.x).abs().max() <= 0.1 + 1e-5
