"""The reference of suite files, from their JSON Schema."""

import json
from collections.abc import Mapping

from rbench.suite.schema import suite_schema
from tools.reference.words import Schema, code, keys

_PARTS = {
    "DatasetSpec": ("dataset", "datasets"),
    "BackboneSpec": ("backbones", "backbones"),
    "PurifierSpec": ("purifiers", "purifiers"),
    "AttackSpec": ("attacks", "attacks"),
}
"""Parts that are components, the key of a suite that takes them, and the page that has their own parameters."""


def suite() -> str:
    """A heading and a table for the suite and for each part of it."""
    schema = suite_schema()
    definitions = schema["definitions"]
    parts = [f"## The file\n\n{schema['description']}", keys(schema, definitions)]
    written = json.dumps(schema)
    for name, part in definitions.items():
        if f'/{name}"' in written:
            parts += [f"## {name}", str(part.get("description", "")), _keys(name, definitions)]
    return "\n\n".join(filter(None, parts))


def _keys(name: str, definitions: Mapping[str, Schema]) -> str:
    part = definitions[name]
    if name not in _PARTS:
        return keys(part, definitions)
    key, page = _PARTS[name]
    said = (
        f"An entry of {code(key)}: a name, or a map of {code('name')}, the keys below and the parameters of the component "
        f"([{page}]({page}.md))."
    )
    return f"{said}\n\n{keys(part['anyOf'][-1], definitions, skip=['name', 'params'])}"
