"""JSON Schema (draft 7) of suite files: the spec's models with the parameters of the built-in components."""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from rbench.registry import Component, registry
from rbench.signature import Parameter
from rbench.suite.corruption_names import ALL, KNOWN, SEVERITIES
from rbench.suite.spec import AttackSpec, BackboneSpec, DatasetSpec, PartSpec, PurifierSpec, SuiteSpec
from rbench.suite.sweep import SWEPT

_PARTS: dict[str, type[PartSpec]] = {
    "dataset": DatasetSpec,
    "backbone": BackboneSpec,
    "purifier": PurifierSpec,
    "attack": AttackSpec,
}
_FRACTION = {"type": "string", "pattern": r"^\d+/\d+$"}
_RADIUS: dict[str, Any] = {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, _FRACTION]}


def suite_schema() -> dict[str, Any]:
    """The schema; only the components that rbench itself brings, so that it is the same wherever it is made."""
    mode: JsonSchemaMode = "validation"
    _, document = models_json_schema([(SuiteSpec, mode)], by_alias=True, schema_generator=_Generator)
    definitions: dict[str, Any] = document["$defs"]
    suite = definitions.pop("SuiteSpec")
    for kind, model in _PARTS.items():
        definitions[model.__name__] = _part(kind, definitions[model.__name__])
    threat = definitions["ThreatSpec"]["properties"]["eps"]
    threat.pop("items", None)
    threat.pop("type", None)
    threat["anyOf"] = [*_RADIUS["anyOf"], {"type": "array", "items": _RADIUS, "minItems": 1}]
    _threat(definitions["ThreatSpec"])
    del suite["properties"]["attacks"]["default"]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **suite,
        "if": {"properties": {"threat": {"required": ["norm"]}}},
        "then": {"required": ["attacks"]},
        "title": "rbench suite",
        "definitions": definitions,
    }


def _threat(model: dict[str, Any]) -> None:
    """A ball, or corruptions, or both; corruptions and severities may be written as one or as a list."""
    known = model["properties"]
    for name, values in (("corruption", [ALL, *KNOWN]), ("corruptions", [ALL, *KNOWN]), ("severity", list(SEVERITIES))):
        one = {"enum": values}
        kept = {key: known[name][key] for key in ("description", "title")}
        known[name] = {"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "uniqueItems": True}], **kept}
    for name in ("norm", "eps"):
        del known[name]["default"]
    model["anyOf"] = [{"required": ["norm", "eps"]}, {"required": ["corruption"]}, {"required": ["corruptions"]}]


def schema_text() -> str:
    """The schema as it is checked in."""
    text = json.dumps(suite_schema(), indent=1, ensure_ascii=False)
    return text.replace("#/$defs/", "#/definitions/") + "\n"


class _Generator(GenerateJsonSchema):
    """Radii are parsed by our own code, which pydantic cannot see into."""

    def is_instance_schema(self, schema: Any) -> dict[str, Any]:  # noqa: ARG002
        return dict(_RADIUS)


def _part(kind: str, model: dict[str, Any]) -> dict[str, Any]:
    """A bare name, or a map for each built-in component, or a map for one that a plug-in brings."""
    common = {key: value for key, value in model["properties"].items() if key not in ("name", "params")}
    known = [registry(kind).get(name) for name in registry(kind).names()]
    known = [component for component in known if component.distribution == "rbench"]
    written = [name for component in known for name in component.written_names()]
    maps = [_component(kind, component, common) for component in known]
    own = "|".join(component.name for component in known)
    other = {
        "title": f"{kind} of a plug-in",
        "type": "object",
        "properties": {"name": {"type": "string", "pattern": f"^(?!({own})(:|$))"}, **common},
        "required": ["name"],
    }
    bare = {"anyOf": [{"enum": [name for name in written if name == name.lower()]}, {"type": "string"}]}
    return {"description": model["description"], "anyOf": [bare, *maps, other]}


def _component(kind: str, component: Component, common: dict[str, Any]) -> dict[str, Any]:
    signature = component.signature()
    source = signature.source
    plain = [p for p in signature.parameters if p is not source]
    name: dict[str, Any] = {"const": component.name}
    if source is not None:
        items = {"enum": component.written_names()} if component.items() else {"pattern": f"^{component.name}(:.+)?$"}
        name = {"type": "string", **items}
        plain.append(source)
    return {
        "title": component.name,
        "description": component.summary,
        "type": "object",
        "properties": {**{p.name: _values(kind, p) for p in plain}, "name": name, **common},
        "required": ["name", *(p.name for p in plain if _must_be_given(p, source))],
        "additionalProperties": signature.open,
    }


def _values(kind: str, parameter: Parameter) -> dict[str, Any]:
    """What a parameter takes; of purifiers and attacks a list of values as well, which is a sweep."""
    one = parameter.json_schema()
    if kind not in SWEPT:
        return one
    outer: dict[str, Any] = {key: one.pop(key) for key in ("description", "default", "title") if key in one}
    return {**outer, "anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


def _must_be_given(parameter: Parameter, source: Parameter | None) -> bool:
    return parameter.required and parameter is not source
