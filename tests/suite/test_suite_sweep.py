"""A parameter that is a list of values makes one part a value, with a label that says what differs."""

import json

import pytest
from fake_plugins import SUITE
from parts import refused, some

from rbench.results.taken_out import taken_out
from rbench.suite.load import load_suite
from rbench.suite.plan import plan
from rbench.suite.schema import schema_text

SMOOTH = "{name: smooth, quality: 50}"


def changed(old, new):
    assert old in SUITE
    return SUITE.replace(old, new)


def planned(write, text):
    return plan(load_suite(write(text)))


def labels(made, part):
    return list(dict.fromkeys(getattr(cell, part).label for cell in made.cells))


def test_a_list_of_values_is_a_row_each(write):
    made = planned(write, changed(SMOOTH, "{name: smooth, quality: [10, 50, 75]}"))
    assert labels(made, "purifier") == ["identity", "smooth quality=10", "smooth quality=50", "smooth quality=75"]
    alone = planned(write, SUITE)
    same = {cell.id for cell in made.cells if cell.purifier.label in ("identity", "smooth quality=50")}
    assert {cell.id for cell in alone.cells} == same, "a value in a sweep is the same work as that value alone"


def test_several_lists_are_every_combination(write):
    made = planned(write, changed(SMOOTH, "{name: smooth, as: S, quality: [10, 50], strength: [1/4, 1/2]}"))
    assert labels(made, "purifier")[1:] == [
        "S quality=10 strength=1:4",
        "S quality=10 strength=1:2",
        "S quality=50 strength=1:4",
        "S quality=50 strength=1:2",
    ]
    assert [cell.purifier.params["strength"] for cell in made.cells[2:6:2]] == [0.25, 0.5]


def test_attacks_are_swept_as_well(write):
    made = planned(write, changed("{name: walk, steps: 10}", "{name: walk, steps: [10, 20]}"))
    assert labels(made, "attack") == ["walk steps=10", "walk steps=20", "walk"]


def test_a_parameter_that_takes_a_list_is_swept_by_a_list_of_lists(write):
    one = planned(write, changed("{name: walk, steps: 10}", "{name: walk, steps: 10, path: [3, 4]}"))
    assert labels(one, "attack") == ["walk", "walk-blind"]
    two = planned(write, changed("{name: walk, steps: 10}", "{name: walk, steps: 10, path: [[3, 4], [5]]}"))
    assert labels(two, "attack") == ["walk path=3+4", "walk path=5", "walk"]


def test_the_resolved_suite_plans_the_same_cells(write):
    made = planned(write, changed(SMOOTH, "{name: smooth, quality: [10, 50], mode: [fast, slow]}"))
    again = planned(write, made.resolved)
    assert [(cell.id, cell.title) for cell in again.cells] == [(cell.id, cell.title) for cell in made.cells]


def test_whoever_names_a_sweep_means_all_of_it(write):
    text = changed(SMOOTH, "{name: smooth, quality: [10, 50]}").replace(
        "{name: walk, steps: 10}", "{name: walk, steps: 10, purifiers: [smooth]}"
    )
    made = planned(write, text)
    assert [cell.title for cell in made.cells if cell.attack.label == "walk"] == [
        "net:small/smooth quality=10/walk",
        "net:small/smooth quality=50/walk",
    ]
    named = planned(write, text.replace("[smooth]", "[smooth quality=50]"))
    assert [cell.title for cell in named.cells if cell.attack.label == "walk"] == ["net:small/smooth quality=50/walk"]


@pytest.mark.parametrize(
    ("purifier", "place", "found"),
    [
        ("{name: smooth, quality: [10, 500]}", "purifiers[1].quality[1]", "500"),
        ("{name: smooth, quality: [ten, 50]}", "purifiers[1].quality[0]", "ten"),
        ("{name: smooth, quality: []}", "purifiers[1].quality", "list"),
        ("{name: smooth, quality: [a, b]}", "purifiers[1].quality", "list"),
        ("{name: smooth, qualty: [10, 50]}", "purifiers[1].qualty", "no such parameter"),
        ("{name: smoth, quality: [10, 50]}", "purifiers[1].name", "unknown"),
    ],
)
def test_what_is_wrong_with_a_sweep_is_told_at_its_value(write, purifier, place, found):
    with refused(place=some(place)) as caught:
        load_suite(write(changed(SMOOTH, purifier)))
    assert found in str(caught.value)


def test_a_sweep_without_end_is_refused_before_it_is_written_out(write):
    numbers, words = list(range(1, 60)), [f"n{i}" for i in range(59)]
    part = {"name": "smooth", "quality": numbers, "strength": numbers, "note": words}
    with refused(place=some("purifiers[1].quality"), found=some("205,379 parts")):
        load_suite(write(changed(SMOOTH, json.dumps(part))))


def test_two_values_that_are_the_same_are_told(write):
    with refused(problem=some("label")):
        load_suite(write(changed(SMOOTH, "{name: smooth, quality: [50, 50]}")))


def test_a_table_knows_the_cells_of_a_sweep_that_were_taken_out(write, tmp_path):
    text = changed("{name: walk, steps: 10}", "{name: walk, steps: [10, 20]}")
    made = planned(write, text)
    root = tmp_path / "run"
    root.mkdir()
    for content in (text, made.resolved):
        (root / "suite.yaml").write_text(content)
        lines = [{**cell.document(), "id": cell.id, "labels": {
            "dataset": cell.dataset.label, "backbone": cell.backbone.label,
            "purifier": cell.purifier.label, "attack": cell.attack.label,
        }} for cell in made.cells]  # fmt: skip
        assert taken_out(root, lines) == []
        missing = taken_out(root, [line for line in lines if line["labels"]["attack"] != "walk steps=20"])
        assert {one["labels"]["attack"] for one in missing} == {"walk steps=20"}


def test_the_schema_of_editors_takes_a_sweep(write):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(schema_text())
    document = {
        "suite": "s",
        "dataset": "fashion-mnist-mini",
        "threat": {"norm": "Linf", "eps": 0.1},
        "backbones": ["bundled:fashion-cnn"],
        "purifiers": [{"name": "gaussian-noise", "sigma": [0.05, "1/10"]}],
        "attacks": [{"name": "pgd", "steps": [10, 20]}],
    }
    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "attacks": [{"name": "pgd", "steps": []}]}, schema)
