"""The reference of records and samples, from their schemas."""

from rbench.results.record import Record
from rbench.results.samples import SCHEMA
from tools.reference.words import code, keys, table


def record() -> str:
    """A table of the keys of a record, and one for each of its parts."""
    schema = Record.model_json_schema(by_alias=True, mode="serialization")
    definitions = schema["$defs"]
    parts = [keys(schema, definitions)]
    for name, part in definitions.items():
        if "properties" in part:
            parts += [f"## {name}", str(part.get("description", "")), keys(part, definitions)]
    return "\n\n".join(filter(None, parts))


def samples() -> str:
    """The columns of the file of samples."""
    rows = [[code(field.name), str(field.type), "" if field.nullable else "always"] for field in SCHEMA]
    return table(["column", "type", "there"], rows)
