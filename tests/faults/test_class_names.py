"""Classes of a backbone and those of the data are matched by their names."""

import json

import pytest
import torch
from parts import refused, some
from small_runs import rbench
from torch import nn

import rbench as public
from rbench.backbones.named import Named
from rbench.running.components import Components
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
"""Of Fashion-MNIST, in the order of its labels."""


def test_classes_are_matched_by_name(tmp_path):
    """The logits of a backbone that knows the classes in another order come out in that of the data set."""
    suite = tmp_path / "s.yaml"
    suite.write_text(
        "suite: n\ndataset: {name: fashion-mnist-mini, classes: [9, 0, 7], samples: 4}\nthreat: {norm: Linf, eps: 0.01}\n"
        f"attacks: [fgsm]\nbackbones: [{{name: 'bundled:fashion-cnn', class_names: {json.dumps(NAMES[::-1])}}}]\n"
    )
    planned = plan(load_suite(suite))
    (cell,) = planned.cells
    assert cell.backbone.params == {"class_names": list(NAMES[::-1])}
    assert "class_names" in planned.resolved
    components, x = Components(torch.device("cpu")), torch.rand(2, 1, 28, 28)
    model = components.of(cell).model
    plain = components.dataset(cell.dataset)
    assert plain.class_names == ("Ankle boot", "T-shirt/top", "Sneaker")
    assert torch.equal(model.backbone(x), public.load("backbone", "bundled:fashion-cnn")(x)[:, [0, 9, 2]])
    plain.require_classes(3)


def test_class_names_that_do_not_match_stop_the_run(tmp_path, capsys):
    suite = tmp_path / "s.yaml"
    suite.write_text(
        "suite: n\ndataset: {name: fashion-mnist-mini, samples: 4}\nthreat: {norm: Linf, eps: 0.01}\nattacks: [fgsm]\n"
        "backbones: [{name: 'bundled:fashion-cnn', class_names: [Bag, hat]}]\n"
    )
    assert rbench("run", suite, "--out", tmp_path / "run") == 2
    err = capsys.readouterr().err
    assert "class_names" in err
    assert "'Trouser'" in err
    assert not list(tmp_path.glob("run/records/*"))


def test_names_of_classes_may_be_written_in_other_ways_and_be_more_than_those_of_the_data():
    network = Named(nn.Identity(), ["bag", "ankle boot", "crane", "crane", "T-Shirt"])
    network.match(["t_shirt", "Bag "], "data")
    assert network(torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])).tolist() == [[5.0, 1.0]]


@pytest.mark.parametrize(
    ("wanted", "problem", "found"),
    [
        (["Bag", "hat"], "none for these", "'hat'"),
        (["crane", "bag"], "several logits", "'crane'"),
        (["bag", "Bag"], "two classes", "'bag', 'Bag'"),
        ([], "no names to match", None),
    ],
)
def test_names_that_do_not_match_are_told(wanted, problem, found):
    network = Named(nn.Identity(), ["bag", "crane", "crane"])
    with refused(problem=some(problem), found=found):
        network.match(wanted, "data")
    with refused(problem=some("3 names, but 2 logits")):
        network(torch.zeros(1, 2))
