"""`rbench compare`: rows of run folders against each other, sample by sample."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rbench.cli import terminal
from rbench.cli.terms import Json
from rbench.errors import InputError
from rbench.harmless import NAME, harmless

if TYPE_CHECKING:
    from rbench.results.compare import Comparison

LINE_WIDTH = 2 * NAME + 1
"""Columns of the two names of a row."""


def command(
    named: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR... [ROW...]",
            help="Run folders or bundles, and which of their rows: purifiers or backbone/purifier, as globs. All if none is named.",
            show_default=False,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Compare rows on the same samples: difference, McNemar's test, who wins where, samples needed."""
    from rbench.bundles.opened import opened
    from rbench.results.compare import compare
    from rbench.results.runs import read_runs
    from rbench.results.table import table

    folders = [Path(name) for name in named if _is_run(Path(name))]
    if not folders:
        remedy = "name a run folder first, e.g. rbench compare results/quickstart jpeg cropd"
        raise InputError("no such folder", place=f"compare {named[0]}", remedy=remedy)
    with ExitStack() as stack:
        roots = [stack.enter_context(opened(folder)).root for folder in folders]
        comparisons = compare(table(read_runs(roots)), [name for name in named if not _is_run(Path(name))])
    if as_json:
        terminal.document([asdict(one) for one in comparisons])
        return
    terminal.say("\n\n".join(_text(one, pairs=len(comparisons)) for one in comparisons))


def _is_run(path: Path) -> bool:
    """Whether it is a folder or a bundle, and not the name of a row."""
    return path.is_dir() or (path.suffix == ".zip" and path.is_file())


def _text(comparison: "Comparison", *, pairs: int) -> str:
    a, b = (f"{100 * value:.1f}" for value in comparison.accuracies)
    low, high = 100 * comparison.difference.low, 100 * comparison.difference.high
    significant = comparison.holm < 0.05
    corrected = f", {comparison.holm:.3g} for {pairs} pairs (Holm)" if pairs > 1 else ""
    needed = "there is none here" if comparison.needed is None else f"about {comparison.needed:,} samples"
    return "\n".join(
        [
            harmless(comparison.first, LINE_WIDTH),
            f"  against {harmless(comparison.second, LINE_WIDTH)}",
            f"  robust {a} % and {b} %: {100 * comparison.difference.value:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})",
            f"  of {comparison.difference.n}: both {comparison.both}, only the first {comparison.only_first}, only the second "
            f"{comparison.only_second}, neither {comparison.neither}",
            f"  McNemar: p = {comparison.p_value:.3g}{corrected}; {'they differ' if significant else 'these samples cannot tell'}",
            f"  to detect such a difference (0.05, power 0.8): {needed}",
        ]
    )
