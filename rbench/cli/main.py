"""The entry point: verbs, exit codes, and errors as one line."""

import functools
import sys
from collections.abc import Callable
from importlib import import_module
from traceback import walk_tb
from typing import Annotated, Any

import typer

from rbench import __version__
from rbench.cli import terminal
from rbench.cli.examples import epilog
from rbench.errors import InputError, MissingError, RbenchError
from rbench.harmless import LINE, harmless, one_line

VERBS = (
    "quickstart",
    "run",
    "plan",
    "status",
    "open",
    "fit",
    "merge",
    "bundle",
    "report",
    "compare",
    "verify",
    "theory",
    "list",
    "show",
    "new",
    "check",
    "doctor",
    "schema",
)
"""Each is a module of this package with a function `command`; the order is that of `--help`."""

app = typer.Typer(
    name="rbench",
    help="Honest robustness numbers for purifiers in front of a frozen backbone.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: importing rich would double the time of --help
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


_UsageError: Any = typer.BadParameter.__base__
"""Of the parser that typer uses, which is click or its own copy of it."""


def _version(wanted: bool) -> None:
    if wanted:
        terminal.say(f"rbench {__version__}")
        raise typer.Exit


def _alone(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def verb(**given: Any) -> None:
        from rbench import elsewhere
        from rbench.process_state import NOTES

        with terminal.alone():
            try:
                command(**given)
            finally:
                elsewhere.forget()
                for line in NOTES.take():
                    terminal.note(line)

    return verb


for _verb in VERBS:
    app.command(_verb, epilog=epilog(_verb))(_alone(import_module(f"rbench.cli.{_verb}").command))


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
    terminal.ready()
    code = _exit_code(given)
    sys.exit(terminal.flushed(told=code == MissingError.exit_code) or code)


def _exit_code(given: list[str]) -> int:
    """Runs the command line; tells what went wrong and gives the exit code of that."""
    try:
        arguments = [a for a in given if a != "--debug"]  # allowed before and after the verb
        code = app(args=arguments, prog_name="rbench", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # `rbench` alone
            error.show()  # type: ignore[attr-defined]
            return InputError.exit_code
        if isinstance(error, OSError) and not _in_a_verb(error):  # the help was printed, to a full disk
            return terminal.flushed() or _told(terminal.unwritable(error), given)
        told = _our_words(error)
        if told is not None and "--debug" not in given:
            return _told(told, given)
        raise


def _our_words(error: Exception) -> RbenchError | None:
    """The error as the user is told it; None if it is a mistake in rbench, which keeps its traceback."""
    if isinstance(error, RbenchError):
        return error
    if isinstance(error, _UsageError):
        return _misused(error)
    if isinstance(error, ImportError):
        return _lacking(error)
    blamed = getattr(error, "blamed", None)  # what `Component.blamed` knows of a stranger's mistake
    return blamed if isinstance(blamed, RbenchError) else None


def _misused(error: Any) -> RbenchError:
    """A wrong option or argument."""
    command = error.ctx.command_path if error.ctx else "rbench"
    problem = " ".join(str(error.format_message()).split())
    return InputError(problem, place=command, remedy=f"`{command} --help` says what it takes.")


def _in_a_verb(error: Exception) -> bool:
    frames = (frame.f_code for frame, _ in walk_tb(error.__traceback__))
    return any(code.co_filename == __file__ and code.co_name == "verb" for code in frames)


def _lacking(error: ImportError) -> RbenchError | None:
    from rbench.registry.requirements import installs

    advice = installs(error.name)
    if advice is None:
        return None
    package = str(error.name).partition(".")[0]
    if isinstance(error, ModuleNotFoundError):
        return MissingError(f"rbench needs {package} for this, which is not installed", remedy=advice)
    return MissingError(f"rbench needs {package} for this, which cannot be imported: {one_line(error)}", remedy=advice)


def _told(error: RbenchError, given: list[str]) -> int:
    terminal.tell(f"error: {harmless(error, LINE)}")
    if "--json" in given:
        try:
            terminal.document(document(error))
        except (RbenchError, OSError):  # nobody reads it, which changes nothing of the error
            return error.exit_code
    return error.exit_code


def document(error: RbenchError) -> dict[str, object]:
    """A failure as JSON values: its kind, its text, the parts of the text (null where unknown) and the exit code."""
    kind = {"type": type(error).__name__, "message": harmless(error, LINE)}
    return {"error": {**kind, **error.parts(), "exit_code": error.exit_code}}
