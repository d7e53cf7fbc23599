"""`classes` of a data set: part of the cell when given, and only then."""

import pytest
from fake_plugins import SUITE

from rbench.errors import InputError
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

CHOSEN = SUITE.replace("samples: 8", "samples: 8, classes: [5, 3]")


def planned(path, *overrides):
    return plan(load_suite(path, overrides))


def test_chosen_classes_are_part_of_the_cell(write):
    cell = planned(write(CHOSEN)).cells[0]
    assert cell.dataset.params == cell.dataset.given_params == {"classes": [5, 3]}
    ids = {
        planned(write(CHOSEN.replace("[5, 3]", classes))).cells[0].id for classes in ("[5, 3]", "[3, 5]", "[5, 3, 1]")
    }
    assert len(ids) == 3
    assert cell.id in ids


def test_a_suite_that_chooses_none_has_the_ids_it_always_had(write):
    plain = planned(write()).cells
    assert "classes" not in plain[0].dataset.params
    assert [cell.id for cell in planned(write(), "dataset.classes=null").cells] == [cell.id for cell in plain]
    assert not {cell.id for cell in plain} & {cell.id for cell in planned(write(CHOSEN)).cells}


@pytest.mark.parametrize(
    ("classes", "label"),
    [("[5, 3]", "tiny (classes 5, 3)"), (list(range(20)), "tiny (20 classes)"), ("null", "tiny")],
)
def test_tables_say_that_it_is_another_task(write, classes, label):
    assert planned(write(), f"dataset.classes={classes}").cells[0].dataset.label == label
    assert planned(write(), f"dataset.classes={classes}", "dataset.as=mine").cells[0].dataset.label == "mine"


@pytest.mark.parametrize("label", [(), ("dataset.as=two",), ("dataset.as=tiny",)])
def test_the_resolved_suite_plans_the_same_cells(write, label):
    first = planned(write(CHOSEN), *label)
    again = planned(write(first.resolved, name="resolved.yaml"))
    assert [cell.id for cell in again.cells] == [cell.id for cell in first.cells]
    assert again.cells[0].dataset.label == first.cells[0].dataset.label
    assert again.resolved == first.resolved


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (
            "[5]",
            "2:44: dataset.classes: found the list [5]; a classifier needs at least 2 classes. Leave it out for all.",
        ),
        ("[]", "2:44: dataset.classes: found the list []; a classifier needs at least 2 classes."),
        ("[0, 1, 0]", "2:44: dataset.classes: class 0 is there twice. Name each once."),
        ("3", "2:44: dataset.classes: found 3, expected a list. Write [3]."),
        ("[3, -1]", "2:48: dataset.classes[1]: found -1, expected int from 0 to 1000000."),
        ("[3, cat]", "2:48: dataset.classes[1]: found the text 'cat', expected int from 0 to 1000000."),
        ("[3, true]", "2:48: dataset.classes[1]: found true, expected int from 0 to"),
    ],
)
def test_wrong_classes_are_refused_at_their_place(write, classes, words):
    with pytest.raises(InputError) as caught:
        planned(write(CHOSEN.replace("[5, 3]", classes)))
    assert str(caught.value).startswith(f"s.yaml:{words}")
    assert "\n" not in str(caught.value)
