"""`rbench list`: the names of a kind; no component is imported."""

import textwrap
from fnmatch import fnmatchcase
from typing import Annotated, Any

import typer

from rbench.cli import terminal
from rbench.cli.terms import Json, Kind
from rbench.harmless import NAME, STORED, harmless, one_line

_WIDTH = 80


def command(
    kind: Kind,
    glob: Annotated[str, typer.Argument(metavar="GLOB", help="Only the names that match, e.g. 'gauss*'.")] = "*",
    as_json: Json = False,
) -> None:
    """List the components of a kind, third-party ones included."""
    from rbench.registry import registry

    rows = [row for name in registry(kind).names() for row in _rows(kind, name) if fnmatchcase(row["name"], glob)]
    if as_json:
        terminal.document(rows)
    else:
        terminal.say(_table(rows, kind, glob))


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
        return f"no {kind.removesuffix('s')} matches {harmless(repr(glob), NAME)}"
    names = [harmless(row["name"], _WIDTH) for row in rows]
    width = min(28, max(map(len, names)))
    lines = []
    for name, row in zip(names, rows, strict=True):
        origin = "" if row["distribution"] in ("rbench", None) else f"({row['distribution']} {row['version']})"
        text = f"{one_line(row['summary'], STORED)} {one_line(origin, NAME)}"
        wrapped = textwrap.wrap(text, _WIDTH - width - 2) or [""]
        if alone := len(name) > width:
            lines.append(name)
        lines += [f"{name if i == 0 and not alone else '':<{width}}  {part}" for i, part in enumerate(wrapped)]
    return "\n".join(line.rstrip() for line in lines)
