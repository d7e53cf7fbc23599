"""The tables that lie beside the records, held against the records that they were made of."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from rbench.reports.csv import csv
from rbench.reports.html import html
from rbench.reports.latex import latex
from rbench.reports.markdown import markdown
from rbench.results.runs import Runs, read_runs
from rbench.results.table import Table, table
from rbench.suite import cell as rules

_MADE: dict[str, Callable[[Table], str]] = {"md": markdown, "csv": csv, "tex": latex, "html": html}
_NOT_COMPARED = (
    re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]*"),
    re.compile(r'(?<=<details id="suite-1"><summary>)[^<]*'),
    re.compile(r"[^\s>]*(?=: \d+ older records left out)"),
)
"""Pictures, which another version of a library compresses otherwise, and whose pixels are verified where they are stored; and what the
folder was called when the table was written."""


def edited(root: Path, before: Runs) -> list[str]:
    """Which `leaderboard.*` of a run folder its records do not give, one line each.

    A table that was written before the folder was verified says that nothing is; that is no edit. Tables of records of another version of
    the rules were written by another rbench, in other words, and are not looked at.

    Args:
        root: the run folder.
        before: the same folder, read before it was verified.
    """
    if any(cell.document.get("judge") != rules.JUDGE_VERSION for cell in before.cells):
        return []
    names = [name for name in _MADE if (root / f"leaderboard.{name}").is_file()]
    if not names:
        return []
    left = {name: _plain((root / f"leaderboard.{name}").read_text("utf-8", "replace")) for name in names}
    for runs in _states(root, before):
        if left:
            made = table(runs)
            left = {name: text for name, text in left.items() if text != _plain(_MADE[name](made))}
    return [
        f"{root / f'leaderboard.{name}'}: not what the records give; `rbench report {root} --to {_format(name)}` writes it again"
        for name in left
    ]


def _states(root: Path, before: Runs) -> Iterator[Runs]:
    """The folder as it was before it was verified, as it is now, and as it was when nothing was verified yet."""
    yield before
    yield read_runs([root])
    yield replace(before, cells=tuple(replace(cell, verified=False) for cell in before.cells))


def _plain(text: str) -> str:
    for pattern in _NOT_COMPARED:
        text = pattern.sub("", text)
    return text


def _format(name: str) -> str:
    return "latex" if name == "tex" else name
