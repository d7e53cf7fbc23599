"""The entry point: verbs, exit codes, and errors as one line."""

import json
import os
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated

import typer

from rbench import __version__
from rbench.errors import RbenchError

VERBS = ("run", "plan", "fit", "merge", "report", "compare", "verify", "theory", "list", "show", "schema")
"""Each is a module of this package with a function `command`; the order is that of `--help`."""

app = typer.Typer(
    name="rbench",
    help="Honest robustness numbers for purifiers in front of a frozen backbone.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: importing rich would double the time of --help
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rbench {__version__}")
        raise typer.Exit


for _verb in VERBS:
    app.command(_verb)(import_module(f"rbench.cli.{_verb}").command)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Honest robustness numbers for purifiers in front of a frozen backbone."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits.

    A wrong input is one line on stderr and the exit code of its kind; with `--json` its parts are one object on stdout as well. An
    exception that is no `RbenchError` is a mistake of a programmer and keeps its traceback.

    Args:
        arguments: those of the process if None.
    """
    given = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a label may hold what the terminal's encoding does not
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=[a for a in given if a != "--debug"], prog_name="rbench")  # allowed before and after the verb
    except RbenchError as error:
        if "--debug" in given:
            raise
        typer.echo(f"error: {one_line(str(error))}", err=True)
        if "--json" in given:
            typer.echo(json.dumps(document(error), indent=1))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `rbench list ... | head`; the interpreter must not try to flush once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def document(error: RbenchError) -> dict[str, object]:
    """A failure as JSON values: its kind, its text, the parts of the text (null where unknown) and the exit code."""
    kind = {"type": type(error).__name__, "message": one_line(str(error))}
    return {"error": {**kind, **error.parts(), "exit_code": error.exit_code}}


def one_line(text: str) -> str:
    """The text without line breaks and control characters, which names from files may hold."""
    return "".join(c if c.isprintable() else " " for c in text).strip()
