"""The reference of the components that come with rbench: what `rbench show` says of each."""

import re
from collections.abc import Callable
from typing import Any

from rbench.cli.show import described
from rbench.registry import registry
from tools.reference.words import cell, code, table, value


def of_kind(kind: str, head: str = "##") -> Callable[[], str]:
    """What makes the page of a kind, by its singular, `purifier`, with a heading of this level for each component."""

    def made() -> str:
        known = registry(kind)
        found = [described(kind, name) for name in known.names() if known.get(name).distribution == "rbench"]
        index = table(
            [kind, "what it is"],
            [[f"[{code(one['name'])}](#{one['name']})", cell(_paragraphs(one)[0])] for one in found],
        )
        return "\n\n".join([index, *(_section(one, head) for one in found)])

    return made


def _paragraphs(found: dict[str, Any]) -> list[str]:
    body = re.split(r"\n(?:Args|Returns|Raises):\n", f"\n{found['doc']}\n")[0].strip()
    return [" ".join(part.split()) for part in body.split("\n\n")] or [""]


def _section(found: dict[str, Any], head: str) -> str:
    written = [name for name in found["written"] if name != found["name"]]
    parts = [f"{head} {found['name']}", *_paragraphs(found)]
    if written:
        parts.append(f"Written {', '.join(map(code, written))}.")
    rows = [_row(one) for one in found["parameters"]]
    if rows:
        parts.append(table(["parameter", "takes", "default", "means"], rows))
    if found["more_parameters"]:
        parts.append("And the parameters of the item named after the colon.")
    if found["facts"]:
        said = ", ".join(f"{code(name)} {value(fact)}" for name, fact in found["facts"].items())
        parts.append(f"Facts: {said}.")
    by = [*map(code, found["files"]["paths"]), *(["its own list of files"] if found["files"]["hook"] else [])]
    if by and found["kind"] != "reporter":
        parts.append(f"Files, part of the id of a cell: {', '.join(by)}.")
    return "\n\n".join(parts)


def _row(parameter: dict[str, Any]) -> list[str]:
    default = "required" if parameter["required"] else value(parameter["default"])
    name = code(parameter["name"]) + (" (after the colon)" if parameter["in_name"] else "")
    return [name, parameter["type"], default, parameter["description"]]
