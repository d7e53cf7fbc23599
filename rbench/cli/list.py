"""`rbench list`: the names of a kind; no component is imported."""

import json
import textwrap
from fnmatch import fnmatchcase
from typing import Annotated, Any

import typer

from rbench.cli.terms import Json, Kind

_WIDTH = 80


def command(
    kind: Kind,
    glob: Annotated[str, typer.Argument(metavar="GLOB", help="Only the names that match, e.g. 'gauss*'.")] = "*",
    as_json: Json = False,
) -> None:
    """List the components of a kind, third-party ones included."""
    from rbench.registry import registry

    rows = [row for name in registry(kind).names() for row in _rows(kind, name) if fnmatchcase(row["name"], glob)]
    typer.echo(json.dumps(rows, indent=1) if as_json else _table(rows, kind, glob))


def _rows(kind: str, name: str) -> list[dict[str, Any]]:
    from rbench.errors import RbenchError
    from rbench.registry import registry

    try:
        component = registry(kind).get(name)
        written, summary = component.written_names(), component.summary
    except RbenchError as error:  # a broken or doubly claimed name must not hide the others
        return [{"name": name, "summary": f"broken: {error}", "distribution": None, "version": None}]
    origin = {"distribution": component.distribution, "version": component.version}
    return [{"name": item, "summary": summary, **origin} for item in written]


def _table(rows: list[dict[str, Any]], kind: str, glob: str) -> str:
    if not rows:
        return f"no {kind.removesuffix('s')} matches {glob!r}"
    width = min(28, max(len(row["name"]) for row in rows))
    lines = []
    for row in rows:
        origin = "" if row["distribution"] in ("rbench", None) else f" ({row['distribution']} {row['version']})"
        text = "".join(c if c.isprintable() else " " for c in row["summary"] + origin)
        wrapped = textwrap.wrap(text, _WIDTH - width - 2) or [""]
        name = row["name"]
        if len(name) > width:
            lines.append(name)
            name = ""
        lines += [f"{name if i == 0 else '':<{width}}  {part}" for i, part in enumerate(wrapped)]
    return "\n".join(line.rstrip() for line in lines)
