"""`rbench bundle`: a run folder as one file that others can verify."""

from pathlib import Path
from typing import Annotated

import typer

from rbench.cli import terminal
from rbench.cli.terms import Files, Json
from rbench.cli.trusting import Trust, must_be_trusted
from rbench.errors import InputError


def command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A run folder, such as results/quickstart.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The bundle. [default: DIR's name and .zip]")
    ] = None,
    without_data: Annotated[
        bool, typer.Option("--without-data", help="Leave the judged images out; who verifies needs the data set.")
    ] = False,
    files: Files = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Pack results with the weights and the judged images that they need; never code. `rbench verify FILE` reads it."""
    if not (folder / "cells.jsonl").is_file():
        raise InputError("no run folder: it has no cells.jsonl", place=folder)
    target = out or Path(f"{folder.resolve().name}.zip")
    from rbench.bundles.archive import is_bundle, write
    from rbench.cli.planned import planned_of
    from rbench.results.store import RunFolder

    if target.is_dir() or (target.exists() and not is_bundle(target)):
        raise InputError("is there, and is no bundle", place=f"--out: {target}", remedy="give another name")
    run = RunFolder(folder)
    with run.lock():
        allowed = must_be_trusted(folder / "suite.yaml", trust=trust)
        plan = planned_of(folder, on_read=allowed, files=files or ())
        from rbench.bundles.packing import packed

        made = packed(run, plan, with_data=not without_data)
        write(target, made.manifest, made.members)
    size, count = target.stat().st_size, len(made.members)
    for line in made.notes:
        terminal.note(line)
    if as_json:
        terminal.document({"bundle": str(target), "bytes": size, **made.manifest.model_dump(mode="json")})
    else:
        terminal.say(f"{target}: {count} files, {size / 2**20:.1f} MiB; rbench verify {target}")
