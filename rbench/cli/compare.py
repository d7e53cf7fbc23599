"""`rbench compare`: rows of run folders against each other, sample by sample."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from rbench.cli import terminal
from rbench.cli.terms import Json
from rbench.errors import InputError


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
    """Compare rows on the same samples: difference, McNemar's test, who wins where, samples needed.

    Of several folders, a row that two of them have is compared with itself, such as a claim with the run that repeats it.
    """
    from rbench.bundles.opened import opened
    from rbench.results.compare import between, compare
    from rbench.results.runs import is_run, read_runs
    from rbench.results.table import table

    if not Path(named[0]).exists():
        remedy = "name a run folder first, e.g. rbench compare results/quickstart jpeg cropd"
        raise InputError("no such folder", place=f"compare {named[0]}", remedy=remedy)
    # A folder without records may have the name of a row, such as the package of a purifier.
    runs = [named[0], *(name for name in named[1:] if is_run(Path(name)) or _is_bundle(Path(name)))]
    with ExitStack() as stack:
        roots = {name: stack.enter_context(opened(Path(name))).root for name in runs}
        rows = [name for name in named if name not in runs]
        several = len(roots) > 1
        same = between({name: table(read_runs([root])) for name, root in roots.items()}, rows) if several else []
        comparisons = same or compare(table(read_runs(list(roots.values()))), rows)
    if as_json:
        terminal.document([asdict(one) for one in comparisons])
        return
    terminal.say("\n\n".join(one.text(pairs=len(comparisons)) for one in comparisons))


def _is_bundle(path: Path) -> bool:
    return path.suffix == ".zip" and path.is_file()
