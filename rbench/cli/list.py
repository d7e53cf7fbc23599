"""`rbench list`: the kinds, the names of a kind, or the flags; nothing is imported. A glob with a colon lists the items of one source."""

import textwrap
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rbench.cli import terminal
from rbench.cli.completing import FLAGS
from rbench.cli.terms import Json, Kind
from rbench.harmless import NAME, STORED, harmless, one_line

if TYPE_CHECKING:
    from rbench.registry import Component

_WIDTH = 80
_PATTERN = frozenset("*?[")


def command(
    kind: Kind = "",
    glob: Annotated[
        str, typer.Argument(metavar="[GLOB]", help="Only the names that match, e.g. 'gauss*' or 'timm:resnet*'.")
    ] = "*",
    as_json: Json = False,
) -> None:
    """List the kinds; or the components of one, third-party ones included; or the flags."""
    rows = _kinds() if not kind else _flags(glob) if kind.lower() in FLAGS else listed(kind, glob)
    if as_json:
        terminal.document(rows)
    else:
        terminal.say(_table([*rows, *(_own_code(kind) if glob == "*" else ())], kind, glob))


def _own_code(kind: str) -> list[dict[str, Any]]:
    """How code without a package is named, for the kinds that it may be of."""
    from rbench.own_code import PREFIX
    from rbench.registry.own import OWN_KINDS

    summary = "Code of your own without a package; it runs with --trust alone."
    return (
        [{"name": f"{PREFIX}:FILE.py:NAME", "summary": summary}] if kind.lower().removesuffix("s") in OWN_KINDS else []
    )


_KINDS = {
    "purifier": "An image-to-image transform that is run before the backbone.",
    "backbone": "A frozen classifier.",
    "dataset": "Images with labels.",
    "attack": "What searches for adversarial examples.",
    "network": "What purifiers and backbones are trained from.",
    "objective": "What a purifier is trained for.",
    "reporter": "A format of tables and figures.",
}


def _kinds() -> list[dict[str, Any]]:
    from rbench.registry import KINDS, registry
    from rbench.results.flags.catalogue import FLAGS as CATALOGUE

    rows = [{"name": f"{kind}s", "summary": _KINDS[kind], "names": len(registry(kind).names())} for kind in KINDS]
    return [*rows, {"name": "flags", "summary": "Doubts about a result, shown beside it.", "names": len(CATALOGUE)}]


def _flags(glob: str) -> list[dict[str, Any]]:
    from rbench.results.flags.catalogue import FLAGS as CATALOGUE

    return [
        {"name": str(name), "short": facts.short, "summary": f"{facts.short}: {facts.meaning}"}
        for name, facts in CATALOGUE.items()
        if fnmatchcase(str(name), glob)
    ]


def listed(kind: str, glob: str) -> list[dict[str, Any]]:
    """The components of a kind whose name matches, as JSON values; of a source that the glob names, its items.

    Raises:
        InputError: the kind is unknown, or a source has no item of exactly this name; with the nearest.
        MissingError: a source needs a module that is not there to list its items.
    """
    from rbench.registry import registry, split_name

    known = registry(kind)
    source, item = split_name(glob)
    if item is not None and source in known.names():
        return _items(known.get(source), glob)
    return [row for name in known.names() for row in _rows(kind, name) if fnmatchcase(row["name"], glob)]


def _items(component: "Component", glob: str) -> list[dict[str, Any]]:
    from rbench.registry import items_of, source_of
    from rbench.signature import ParameterError

    names = [f"{component.name}:{item}" for item in items_of(component)] or component.written_names()
    matching = [name for name in names if fnmatchcase(name, glob)]
    if not matching and not _PATTERN & set(glob):
        try:
            source_of(component, glob)  # an item that is in no list, such as a folder
        except ParameterError as error:
            owner = f"{component.kind} {glob!r}"
            raise error.at(owner, component=owner) from None
        matching = [glob]
    return [_row(component, name) for name in matching]


def _row(component: "Component", name: str) -> dict[str, Any]:
    return {
        "name": name,
        "summary": component.summary,
        "distribution": component.distribution,
        "version": component.version,
    }


def _rows(kind: str, name: str) -> list[dict[str, Any]]:
    from rbench.errors import RbenchError
    from rbench.registry import registry

    try:
        component = registry(kind).get(name)
        return [_row(component, item) for item in component.written_names()]
    except RbenchError as error:  # a broken or doubly claimed name must not hide the others
        return [{"name": name, "summary": f"broken: {error}", "distribution": None, "version": None}]


def _table(rows: list[dict[str, Any]], kind: str, glob: str) -> str:
    if not rows:
        return f"no {kind.removesuffix('s')} matches {harmless(repr(glob), NAME)}"
    names = [harmless(row["name"], _WIDTH) for row in rows]
    width = min(28, max(map(len, names)))
    lines, said = list[str](), ""
    for name, row in zip(names, rows, strict=True):
        origin = f"({row['distribution']} {row['version']})" if row.get("distribution") not in ("rbench", None) else ""
        if "names" in row:
            origin = f"({row['names']})"
        text = f"{one_line(row['summary'], STORED)} {one_line(origin, NAME)}"
        if text == said and ":" in glob:  # hundreds of items of one source, of which one sentence is true
            lines.append(name)
            continue
        said = text
        wrapped = textwrap.wrap(text, _WIDTH - width - 2) or [""]
        if alone := len(name) > width:
            lines.append(name)
        lines += [f"{name if i == 0 and not alone else '':<{width}}  {part}" for i, part in enumerate(wrapped)]
    return "\n".join(line.rstrip() for line in lines)
