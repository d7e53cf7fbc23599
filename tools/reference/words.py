"""Markdown of what code says: tables, cells, and the types of a JSON Schema in words."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]
_PLAIN = {"JsonValue": "any JSON value"}
"""Definitions that have no heading of their own."""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines)


def cell(text: str) -> str:
    """A text on one line that does not end its cell."""
    return " ".join(text.replace("|", "\\|").split())


def code(text: str) -> str:
    """A text as code; empty if it is."""
    return f"`{text}`" if text else ""


def value(found: object) -> str:
    """A value as a suite or a record would write it."""
    return code(json.dumps(found, ensure_ascii=False))


def kind(schema: Schema) -> str:
    """What a JSON Schema takes, in words: `integer of at least 1, or null`."""
    if "const" in schema:
        return value(schema["const"])
    if "enum" in schema:
        return ", ".join(map(value, schema["enum"]))
    if "$ref" in schema:
        name = referred(schema)
        return _PLAIN.get(name) or f"[{name}](#{name.lower()})"
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return ", or ".join(dict.fromkeys(kind(one) for one in schema[word]))
    found = schema.get("type", "any value")
    if found == "array":
        return _array(schema)
    if found == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"map of names to: {kind(schema['additionalProperties'])}"
    words = {"object": "map", "boolean": "true or false", "string": "text"}.get(found, str(found))
    pattern = [f"matching `{schema['pattern']}`"] if "pattern" in schema else []
    return " ".join([words, *_bounds(schema), *pattern])


def _array(schema: Schema) -> str:
    parts = schema.get("prefixItems")
    if parts:
        return f"list of {len(parts)}: {'; '.join(map(kind, parts))}"
    least = f" of at least {schema['minItems']}" if schema.get("minItems", 1) > 1 else ""
    return f"list{least} of: {kind(schema.get('items', {}))}"


def _bounds(schema: Schema) -> list[str]:
    low, high = schema.get("minimum"), schema.get("maximum")
    said = []
    if low is not None and high is not None:
        said.append(f"from {low:,} to {high:,}")
    elif low is not None:
        said.append(f"of at least {low:,}")
    elif high is not None:
        said.append(f"of at most {high:,}")
    if "exclusiveMinimum" in schema:
        said.append(f"above {schema['exclusiveMinimum']:,}")
    if "exclusiveMaximum" in schema:
        said.append(f"below {schema['exclusiveMaximum']:,}")
    return said


def keys(part: Schema, definitions: Mapping[str, Schema], skip: Sequence[str] = ()) -> str:
    """A table of the keys of a map: what each takes, its default, its sentence, or else that of the definition that it refers to."""
    rows = []
    for name, schema in part["properties"].items():
        if name not in skip:
            needed = name in part.get("required", ())
            default = "required" if needed else value(schema["default"]) if "default" in schema else ""
            said = schema.get("description") or definitions.get(referred(schema), {}).get("description", "")
            rows.append([code(name), kind(schema), default, str(said)])
    return table(["key", "takes", "default", "means"], rows)


def referred(schema: Schema) -> str:
    """The name of the definition that a schema, or its items, refers to; empty if there is none."""
    found = schema.get("$ref") or schema.get("items", {}).get("$ref", "")
    return str(found).rpartition("/")[2]
