"""`rbench check`: the conformance kit on one component, a verdict for each property and the cure where it fails."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from rbench.cli import terminal
from rbench.cli.terms import Json
from rbench.cli.trusting import must_be_trusted
from rbench.errors import InputError
from rbench.harmless import NAME, harmless


def command(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="purifier, backbone, attack, dataset or reporter.", show_default=False),
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, e.g. jpeg.", show_default=False)],
    params: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PARAM=VALUE]...", help="Its parameters, as in a suite.", show_default=False),
    ] = None,
    images: Annotated[int, typer.Option(metavar="N", help="How many images it is asked about, 2 to 64.")] = 8,
    shape: Annotated[
        str | None,
        typer.Option(metavar="CxHxW", help="Of the images. [default: the first usual one that it takes]"),
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Run code of your own (python:...); read it first.")] = False,
    as_json: Json = False,
) -> None:
    """Check whether a component keeps to what rbench expects of its kind. Exit code 1 if a property fails."""
    given = parameters(params or ())
    must_be_trusted(f"check {harmless(name, NAME)}", trust=trust)({"name": name, "params": given})
    from rbench.testing.conformance import (
        check_named,  # torch takes seconds, and a mistyped parameter has no use for it
    )

    found = check_named(kind, name, given, images=images, shape=shape)
    if as_json:
        terminal.document(found.document())
    else:
        terminal.say(found.text())
    if found.failed:
        raise typer.Exit(1)


def parameters(assigned: Sequence[str]) -> dict[str, Any]:
    """Parameters written as `name=value`, the value as in a suite.

    Raises:
        InputError: one has no `=`, is there twice, or its value cannot be read.
    """
    from rbench.suite.document import parse

    given: dict[str, Any] = {}
    for text in assigned:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier() or name in given:
            problem = "given twice." if name in given else "expected a parameter, `=` and a value."
            raise InputError(problem, place=f"check: {harmless(text, NAME)}", remedy="Write e.g. quality=75.")
        given[name] = parse(value, f"check: {name}").plain()
    return given
