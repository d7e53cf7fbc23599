"""`rbench show`: one component's parameters, defaults, facts and origin, or a flag's meaning, cause, cure and thresholds."""

import textwrap
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from rbench.cli import terminal
from rbench.cli.completing import FLAGS, names
from rbench.cli.completing import kind as kind_names
from rbench.cli.terms import Json
from rbench.errors import InputError
from rbench.harmless import LINE, NAME, harmless, one_line

if TYPE_CHECKING:
    from rbench.registry import Component
    from rbench.results.flags.catalogue import FlagFacts
    from rbench.signature import Parameter, Signature

_WIDTH = 80
_TRUST = "It is code of your own: read here, and run by `rbench run` and `rbench verify` only with --trust."


def command(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="purifiers, backbones, datasets, attacks, ...; or flag",
            show_default=False,
            autocompletion=kind_names,
        ),
    ],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Its name, e.g. jpeg; all flags if left out.",
            show_default=False,
            autocompletion=names,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a component takes and where it comes from, or what a flag means and how to cure it."""
    if kind.lower() in FLAGS:
        flags = describe_flags(name)
        _print(flags, _flag_text, as_json=as_json)
        return
    if name is None:
        raise InputError("give the name of one", place=f"show {kind}", remedy=f"`rbench list {kind}` has them")
    _print(describe_component(kind, name), _text, as_json=as_json)


def _print(document: dict[str, Any], text: Callable[[dict[str, Any]], str], *, as_json: bool) -> None:
    if as_json:
        terminal.document(document)
    else:
        terminal.say(text(document))


def describe_flags(name: str | None = None) -> dict[str, dict[str, Any]]:
    """Meaning, cause, cure and thresholds of one flag, or of all, as JSON values.

    Raises:
        InputError: there is no such flag.
    """
    from rbench.results.flags.catalogue import FLAGS
    from rbench.signature import nearest

    known = {str(flag): facts for flag, facts in FLAGS.items()}
    name = {facts.short: flag for flag, facts in known.items()}.get(name or "", name)
    if name is not None and name not in known:
        close = nearest(name, known)
        remedy = f"Did you mean {close[0]!r}?" if close else "`rbench show flag` lists them."
        raise InputError(f"no flag {name!r}.", remedy=remedy)
    return {flag: _flag_document(facts) for flag, facts in known.items() if name in (None, flag)}


def _flag_text(flags: dict[str, dict[str, Any]]) -> str:
    lines = []
    for name, facts in flags.items():
        lines += ["", f"{name} ({facts['short']})"]
        said = [f"{part}: {facts[part]}" for part in ("meaning", "cause", "cure")]
        said += [f"threshold: {one['text']} ({one['of']})" for one in facts["thresholds"].values()]
        for line in said:
            lines += textwrap.wrap(line, _WIDTH, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines[1:])


def _flag_document(facts: "FlagFacts") -> dict[str, Any]:
    thresholds = {name: {**asdict(one), "text": one.text} for name, one in facts.thresholds.items()}
    return {**asdict(facts), "thresholds": thresholds}


def describe_component(kind: str, name: str) -> dict[str, Any]:
    """A component as JSON values, with the version of its source.

    Raises:
        InputError: it is unknown or broken, or has no such item; with the nearest.
        MissingError: it needs a module that is not there to say what it takes or has.
    """
    from rbench.registry import registry

    return {**described(kind, name), "source_version": registry(kind).get(name).source_version}


def described(kind: str, name: str) -> dict[str, Any]:
    """What a component is and takes, as JSON values; for its version all modules that it imports would be read.

    Raises:
        InputError: it is unknown or broken, or has no such item; with the nearest.
        MissingError: it needs a module that is not there to say what it takes or has.
    """
    from rbench.registry import about_item, registry

    component = registry(kind).get(name)
    item = component.split(name)[1]
    if item:
        _require_item(component, name)
    signature = component.signature(item)
    source = signature.source
    return {
        "kind": component.kind,
        "name": name,
        "written": component.written_names(),
        "distribution": component.distribution,
        "version": component.version,
        "value": component.place,
        "needs_trust": component.needs_trust,
        "doc": component.doc,
        "about": about_item(component, item) if item else {},
        "facts": component.facts(),
        "parameters": [_parameter(p, in_name=p is source) for p in signature.parameters],
        "more_parameters": signature.open,
        "files": _files(component, signature),
    }


def _require_item(component: "Component", name: str) -> None:
    from rbench.registry import source_of
    from rbench.signature import ParameterError

    try:
        source_of(component, name)
    except ParameterError as error:
        owner = f"{component.kind} {name!r}"
        raise error.at(owner, component=owner) from None


def _files(component: "Component", signature: "Signature") -> dict[str, Any]:
    """By what a component declares the files that it reads: their bytes are part of a cell's id."""
    from pathlib import Path

    paths = [p.name for p in signature.parameters if Path in (p.annotation, *get_args(p.annotation))]
    return {"paths": paths, "hook": component.has_hook("files")}


def _parameter(parameter: "Parameter", *, in_name: bool) -> dict[str, Any]:
    from rbench.signature import describe, to_json

    default = {} if parameter.required else {"default": to_json(parameter.default, parameter.name)}
    return {
        "name": parameter.name,
        "type": describe(parameter.annotation),
        "required": parameter.required,
        **default,
        "in_name": in_name,
        "description": parameter.description,
    }


def _text(document: dict[str, Any]) -> str:
    body = document["doc"].partition("\nArgs:")[0].strip()
    paragraphs = [one_line(p, LINE) for p in body.split("\n\n")]
    origin = one_line(f"{document['distribution']} {document['version']}, {document['value']}", 4 * NAME)
    lines = [f"{document['kind']} {harmless(document['name'], NAME)}", *textwrap.wrap(origin, _WIDTH)]
    for paragraph in filter(None, paragraphs):
        lines += ["", *textwrap.wrap(paragraph, _WIDTH)]
    if document["about"]:
        lines += [""]
    for word, text in document["about"].items():
        said = one_line(f"{word}: {text}", LINE)
        lines += textwrap.wrap(said, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    if document["needs_trust"]:
        lines += ["", *textwrap.wrap(_TRUST, _WIDTH)]
    if document["parameters"]:
        lines += ["", "parameters"]
    for parameter in document["parameters"]:
        lines += _parameter_lines(parameter)
    if document["more_parameters"]:
        lines += ["  ...and those of the item named after the colon"]
    if said := _said_of_files(document):
        lines += [
            "",
            "files",
            *textwrap.wrap(one_line(said, LINE), _WIDTH, initial_indent="  ", subsequent_indent="  "),
        ]
    if document["facts"]:
        lines += ["", "facts"]
        for name, value in document["facts"].items():
            text = one_line(f"{name}: {terminal.encoded(value)}", LINE)
            lines += textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def _said_of_files(found: dict[str, Any]) -> str:
    """How its files are declared; how to declare them where a parameter may name one all the same; else nothing."""
    files = found["files"]
    by = [*(f"the path `{name}`" for name in files["paths"]), *(["its `files` hook"] if files["hook"] else [])]
    if by:
        return f"A change of the files given by {' and '.join(by)} makes results stale."
    if not any("text" in parameter["type"] for parameter in found["parameters"]):
        return ""
    return (
        "It declares none. If a parameter names a file, annotate it as `pathlib.Path`, or write a function `files(**parameters)` beside "
        "the component that lists what is read; a change of the files then makes results stale."
    )


def _parameter_lines(parameter: dict[str, Any]) -> list[str]:
    where = ", written after the colon of the name" if parameter["in_name"] else ""
    default = "required" if parameter["required"] else f"default {terminal.encoded(parameter['default'])}"
    head = one_line(f"{parameter['name']}: {parameter['type']}, {default}{where}", LINE)
    text = one_line(parameter["description"], LINE)
    lines = textwrap.wrap(head, _WIDTH, initial_indent="  ", subsequent_indent="      ")
    return lines + textwrap.wrap(text, _WIDTH, initial_indent="      ", subsequent_indent="      ")
