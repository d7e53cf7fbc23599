"""`rbench merge`: folders of one suite that were run apart, joined in the first."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from rbench.cli import terminal
from rbench.cli.terms import Json
from rbench.errors import InputError


def command(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR DIR...", help="Run folders of one suite; the first takes.", show_default=False),
    ],
    as_json: Json = False,
) -> None:
    """Take the finished cells of other run folders of the same suite into the first, and write its leaderboard."""
    from rbench.cli.report import command as report
    from rbench.results.merge import merge
    from rbench.results.store import RunFolder

    first, *others = folders
    if not others:
        raise InputError(
            "names one folder", place="DIR DIR...", remedy="Name the folder that takes, then those to take from."
        )
    for root in folders:
        if not (root / "cells.jsonl").is_file():
            raise InputError("no run folder: it has no cells.jsonl", place=root)
    into, found = RunFolder.create(first), {}
    with into.lock():
        for root in others:
            found[str(root)] = merged = merge(into, RunFolder(root))
            terminal.tell(f"{root}: {len(merged.cells)} finished cells and {merged.spans} spans of others taken")
            for title in merged.differ:
                terminal.note(f"{title}: {root} has other results; those of {first} stay")
    if as_json:
        terminal.document({name: asdict(merged) for name, merged in found.items()})
    else:
        report([first], to="md,csv,html")
