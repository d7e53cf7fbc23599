"""`rbench compare`: rows of run folders against each other, sample by sample."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rbench.cli.terms import Json
from rbench.errors import InputError

if TYPE_CHECKING:
    from rbench.results.compare import Comparison


def command(
    named: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR... [ROW...]",
            help="Run folders, and which of their rows: purifiers or backbone/purifier, as globs. All if none is named.",
            show_default=False,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Compare rows on the same samples: difference, McNemar's test, who wins where, samples needed."""
    from rbench.results.compare import compare
    from rbench.results.runs import read_runs
    from rbench.results.table import table

    folders = [Path(name) for name in named if Path(name).is_dir()]
    if not folders:
        remedy = "name a run folder first, e.g. rbench compare results/quickstart jpeg cropd"
        raise InputError("no such folder", place=f"compare {named[0]}", remedy=remedy)
    found = compare(table(read_runs(folders)), [name for name in named if not Path(name).is_dir()])
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=1, allow_nan=False))
        return
    typer.echo("\n\n".join(_text(one, pairs=len(found)) for one in found))


def _text(found: "Comparison", *, pairs: int) -> str:
    a, b = (f"{100 * value:.1f}" for value in found.accuracies)
    low, high = 100 * found.difference.low, 100 * found.difference.high
    told = found.holm < 0.05
    corrected = f", {found.holm:.3g} for {pairs} pairs (Holm)" if pairs > 1 else ""
    needed = "no number of samples" if found.needed is None else f"about {found.needed:,} samples"
    return "\n".join(
        [
            found.first,
            f"  against {found.second}",
            f"  robust {a} % and {b} %: {100 * found.difference.value:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})",
            f"  of {found.difference.n}: both {found.both}, only the first {found.only_first}, only the second "
            f"{found.only_second}, neither {found.neither}",
            f"  McNemar: p = {found.p_value:.3g}{corrected}; {'they differ' if told else 'these samples cannot tell'}",
            f"  to tell such a difference (0.05, power 0.8): {needed}",
        ]
    )
