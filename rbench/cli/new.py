"""`rbench new`: a package of a plug-in to begin with."""

from pathlib import Path
from typing import Annotated

import typer

from rbench.cli import terminal
from rbench.harmless import NAME, harmless


def command(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="purifier, backbone, attack, dataset or reporter.", show_default=False),
    ],
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What suites will call it, e.g. my-purifier.", show_default=False)
    ],
    into: Annotated[Path, typer.Option(metavar="DIR", help="The folder around the new one.")] = Path(),
) -> None:
    """Write a small package of a plug-in: component, test, suite and README; all of it works as it is."""
    from rbench.testing.starter import begin, what_to_check

    for path in begin(kind, name, into):
        terminal.say(harmless(path))
    where = harmless(into / name, 4 * NAME)
    terminal.tell(f"next: pip install -e {where}, then: rbench check {what_to_check(kind, name)}")
