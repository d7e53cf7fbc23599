"""`rbench status`: how far a run is, while it runs or after it was stopped."""

from dataclasses import asdict
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer

from rbench.cli import terminal
from rbench.cli.terms import Json
from rbench.harmless import NAME, STORED, harmless

if TYPE_CHECKING:
    from rbench.results.standing import RunStanding, Standing

_WIDTH = 80
_SHOWN = 20
"""Cells of each state that are named."""


def command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A run folder, such as runs/quickstart.", show_default=False)
    ],
    as_json: Json = False,
) -> None:
    """Show how far a run is: cells done, failed, at work and missing. Nothing is locked, loaded or changed."""
    from rbench.results.standing import STATES, standing_of

    found = standing_of(folder)
    if as_json:
        states = {state: found.count(state) for state in STATES}
        document = {"schema": 1, "running": found.running, "writer": asdict(found.writer) if found.writer else None}
        terminal.document({**document, "counts": states, "cells": [asdict(cell) for cell in found.cells]})
    else:
        terminal.say(text(found))


def text(found: "RunStanding") -> str:
    """The same in at most 80 columns."""
    from rbench.results.standing import STATES

    counts = [f"{found.count(state)} {state}" for state in STATES if found.count(state) or state in ("done", "missing")]
    lines = [f"{harmless(found.root, 4 * NAME)}: {len(found.cells)} cells: {', '.join(counts)}", _writer(found)]
    label = "stopped within" if found.running is False else "at work"
    lines += _listed(label, [f"{_title(cell)}: {cell.kept} of {cell.samples or '?'} samples" for cell in found.begun])
    failed = [cell for cell in found.cells if cell.state in ("failed", "unreadable")]
    lines += _listed("failed", [f"{_title(cell)}: {harmless(cell.error, STORED)}" for cell in failed])
    begun = {cell.id for cell in found.begun}
    waiting = [_title(cell) for cell in found.cells if cell.state in ("missing", "cancelled") and cell.id not in begun]
    lines += _listed("not begun, or no samples finished yet" if found.running is not False else "not begun", waiting)
    return "\n".join(lines)


def _writer(found: "RunStanding") -> str:
    if found.writer is None or found.running is False:
        done = found.count("done") == len(found.cells)
        return "finished" if done else "nobody is writing; `rbench run` with the same --out goes on"
    who = f"process {found.writer.pid} on {harmless(found.writer.host, NAME)}"
    return f"running: {who}" if found.running else f"{who} says that it is writing; that machine cannot be asked"


def _title(cell: "Standing") -> str:
    return harmless(cell.title, 4 * NAME)


def _listed(label: str, titles: list[str]) -> list[str]:
    if not titles:
        return []
    more = [f"  and {len(titles) - _SHOWN} more (--json has all)"] if len(titles) > _SHOWN else []
    return [f"{label}:", *(f"  {shorten(one, _WIDTH - 2, placeholder='...')}" for one in titles[:_SHOWN]), *more]
