"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

from rbench.cli.completing import kinds

Suite = Annotated[Path, typer.Argument(metavar="SUITE", help="The suite file (YAML).", show_default=False)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a field, e.g. attacks[0].steps=5. Repeatable."),
]
Only = Annotated[
    str | None,
    typer.Option(metavar="EXPR", help="Cells whose backbone/purifier/attack match a glob; commas mean or."),
]
Limit = Annotated[int | None, typer.Option(metavar="N", min=1, help="At most N samples.")]
Workers = Annotated[
    str,
    typer.Option(metavar="N", envvar="RBENCH_WORKERS", help="Processes: one a core, or a GPU, for auto; 0: this one."),
]
Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--files",
        metavar="DIR",
        help="Where weights and data of the suite are, by their names, if not where it says. Repeatable.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Kind = Annotated[
    str,
    typer.Argument(
        metavar="[KIND]",
        help="purifiers, backbones, datasets, attacks, ... or flags.",
        show_default=False,
        autocompletion=kinds,
    ),
]
