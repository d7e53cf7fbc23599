import json
from pathlib import Path

import pytest

import rbench.suite
from rbench.signature import REQUIRED, Parameter
from rbench.suite.schema import schema_text, suite_schema

CHECKED_IN = Path(rbench.suite.__file__).parent / "suite.schema.json"


def test_the_schema_in_the_repository_is_current():
    assert CHECKED_IN.read_text(encoding="utf-8") == schema_text(), (
        "run: rbench schema > rbench/suite/suite.schema.json"
    )


def test_a_plug_in_does_not_change_the_schema(plugins):
    before = schema_text()
    plugins.add_parts()
    assert schema_text() == before


def walk(value):
    yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(item)


def test_every_reference_leads_somewhere():
    schema = json.loads(schema_text())
    references = [node["$ref"] for node in walk(schema) if isinstance(node, dict) and "$ref" in node]
    assert references
    assert {reference.removeprefix("#/definitions/") for reference in references} <= set(schema["definitions"])


def branch(kind: str, title: str):
    return next(item for item in suite_schema()["definitions"][kind]["anyOf"] if item.get("title") == title)


def test_an_editor_knows_the_parameters_of_a_component():
    jpeg = branch("PurifierSpec", "jpeg")
    assert jpeg["properties"]["name"] == {"const": "jpeg"}
    quality = jpeg["properties"]["quality"]
    one, sweep = quality["anyOf"]
    assert (one["type"], one["minimum"], one["maximum"], quality["default"]) == ("integer", 1, 100, 75)
    assert (sweep["type"], sweep["items"]) == ("array", one)
    assert quality["description"]
    assert jpeg["additionalProperties"] is False
    assert "as" in jpeg["properties"]


def test_an_editor_knows_the_items_of_a_source():
    assert branch("BackboneSpec", "bundled")["properties"]["name"]["enum"] == [
        "bundled:fashion-cnn",
        "bundled:fashion-cnn-adversarial",
    ]
    assert branch("DatasetSpec", "parquet")["properties"]["name"]["pattern"] == "^parquet(:.+)?$"
    assert branch("AttackSpec", "torchattacks")["additionalProperties"] is True


def test_radii_may_be_numbers_fractions_or_a_list_of_both():
    one, fraction, several = suite_schema()["definitions"]["ThreatSpec"]["properties"]["eps"]["anyOf"]
    assert one["type"] == "number"
    assert fraction["type"] == "string"
    assert several["items"]["anyOf"] == [one, fraction]


@pytest.mark.parametrize("default", [REQUIRED, (1, 2), None])
def test_defaults_are_json(default):
    assert "default" in Parameter("p", tuple[int, ...] | None, default).json_schema() or default is REQUIRED
