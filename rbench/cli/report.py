"""`rbench report`: tables from records alone."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rbench.cli import terminal
from rbench.errors import InputError
from rbench.harmless import STORED, harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rbench.results.table import Table


def command(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...", help="Run folders, such as results/quickstart, or bundles.", show_default=False
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="FORMATS",
            help="What to write; see `rbench list reporters`. [default: md,csv; nothing with --json]",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for the files. [default: DIR, if there is one only]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and write no file unless told.")] = False,
) -> None:
    """Print the leaderboard of one or more run folders and write it to files. Runs nothing that a record names."""
    from rbench import reports
    from rbench.bundles.opened import opened
    from rbench.results.runs import read_runs
    from rbench.results.table import table

    target = out or (folders[0] if len(folders) == 1 and not folders[0].is_file() else None)
    if to is not None and target is None:
        problem = "several folders." if len(folders) > 1 else "a bundle, which stays as it is."
        raise InputError(problem, place="--to", remedy="Say where the files go: --out DIR.")
    if as_json and to is None and out is None:  # a program asks what the folder says, which may be somebody's evidence
        target = None
    formats = reports.formats(to or "md,csv")
    with ExitStack() as stack:
        roots = [stack.enter_context(opened(folder)).root for folder in folders]
        told = None if as_json else told_files
        publish(table(read_runs(roots)), target, formats, as_json=as_json, on_written=told)


def publish(
    leaderboard: "Table",
    target: Path | None,
    formats: "Sequence[str]",
    *,
    as_json: bool,
    on_written: "Callable[[Path, Sequence[Path]], None] | None" = None,
) -> None:
    """Prints a leaderboard and writes it to files; exits with 1 if files of it were broken.

    Args:
        leaderboard: the table.
        target: folder of the files; none are written if None.
        formats: names of reporters.
        as_json: print JSON and nothing else.
        on_written: called with the folder and the files in it.
    """
    from rbench import reports

    if not as_json:
        _show(leaderboard)
    if target is not None:
        paths = reports.write(leaderboard, target, formats)
        if on_written is not None:
            on_written(target, paths)
    if as_json:  # last, so that there is one document on stdout if the files cannot be written
        terminal.document(_document(leaderboard))
    if leaderboard.broken:
        raise typer.Exit(1)


def told_files(target: Path, paths: "Sequence[Path]") -> None:
    """One line on stderr on the files of a report, in the folder that they were written to."""
    counts = Counter(path.relative_to(target).parts[0] for path in paths)
    names = [name if (target / name).is_file() else f"{name}/ ({count} files)" for name, count in counts.items()]
    terminal.tell(f"wrote {harmless(target, STORED)}: {', '.join(names)}")


def _document(leaderboard: "Table") -> dict[str, Any]:
    from rbench.reports.corruptions import documents

    corrupted = {"corruptions": documents(leaderboard)} if leaderboard.corruptions else {}
    return {
        "schema": 1,
        "rows": [
            row | {"flags": [asdict(flag) for flag in doubts]}
            for row, doubts in zip(leaderboard.rows(), leaderboard.doubts, strict=True)
        ],
        **corrupted,
        "columns": {name: asdict(column) for name, column in leaderboard.columns.items()},
        "broken": [asdict(one) for one in leaderboard.broken],
        "notes": leaderboard.notes,
    }


def _show(leaderboard: "Table") -> None:
    from rbench.reports.console import console

    terminal.show(console(leaderboard))
