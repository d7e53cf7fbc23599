"""`--trust`: code of the user's own, which a suite names, is run only where its user has said so."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rbench.cli import terminal
from rbench.errors import InputError
from rbench.harmless import NAME, harmless

if TYPE_CHECKING:
    from rbench.registry.own import OwnComponent

Trust = Annotated[
    bool, typer.Option("--trust", help="Run code of your own (python:...) that the suite names; read it first.")
]
_SHOWN = 9


def must_be_trusted(suite: Path | str, *, trust: bool, ask: bool = True, remedy: str = "") -> Callable[[Any], None]:
    """What is to be done with a suite that was read: the code that it names may run from now on, or the command ends.

    Args:
        suite: the file, or what else names the code, for messages.
        trust: whether the user has said so on the command line.
        ask: whether somebody at a terminal is asked who has not.
        remedy: what else can be done.
    """

    def on_read(document: Any) -> None:
        from rbench.registry.trust import let_run, own_code_in

        code = own_code_in(document)
        if not code:
            return
        if not trust and not (ask and terminal.asked(_question(suite, code))):
            problem = f"names code that rbench does not bring and that would run with all your rights: {_names(code)}."
            raise InputError(problem, place=suite, remedy=f"Read it, then add --trust.{remedy}")
        if trust:
            terminal.note(f"runs {_names(code)}")
        let_run(code)

    return on_read


def _names(code: "Sequence[OwnComponent]") -> str:
    shown = ", ".join(harmless(one.given, 2 * NAME) for one in code[:_SHOWN])
    return f"{shown} and {len(code) - _SHOWN} more" if len(code) > _SHOWN else shown


def _question(suite: Path | str, code: "Sequence[OwnComponent]") -> str:
    lines = [f"{harmless(suite, 2 * NAME)} names code that rbench does not bring. It would run with all your rights:"]
    for one in code[:_SHOWN]:
        beside = len(one.modules) - 1
        more = f", and {beside} modules that it imports" if beside else ""
        lines.append(f"  {harmless(one.given, NAME)}: {harmless(one.file or one.module, 3 * NAME)}{more}")
    if len(code) > _SHOWN:
        lines.append(f"  and {len(code) - _SHOWN} more")
    return "\n".join([*lines, "Have you read it, and shall it run?"])
