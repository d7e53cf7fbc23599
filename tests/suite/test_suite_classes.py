"""`classes` of a data set: part of the cell when given, and only then."""

import pytest
from fake_plugins import SUITE
from parts import at, refused

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
    ("classes", "parts"),
    [
        (
            "[5]",
            at(
                "2:44: dataset.classes",
                "the list [5]",
                "Leave it out for all.",
                fact="a classifier needs at least 2 classes",
            ),
        ),
        (
            "[]",
            at(
                "2:44: dataset.classes",
                "the list []",
                "Leave it out for all.",
                fact="a classifier needs at least 2 classes",
            ),
        ),
        ("[0, 1, 0]", at("2:44: dataset.classes", "class 0", "Name each once.", fact="is there twice")),
        ("3", at("2:44: dataset.classes", "3", "Write [3].")),
        ("[3, -1]", at("2:48: dataset.classes[1]", "-1", fact="int from 0 to 1000000")),
        ("[3, cat]", at("2:48: dataset.classes[1]", "the text 'cat'", fact="int from 0 to 1000000")),
        ("[3, true]", at("2:48: dataset.classes[1]", "true", fact="int from 0 to 1000000")),
    ],
)
def test_wrong_classes_are_refused_at_their_place(write, classes, parts):
    with refused(**{**parts, "place": f"s.yaml:{parts['place']}"}):
        planned(write(CHOSEN.replace("[5, 3]", classes)))
