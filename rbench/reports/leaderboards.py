"""The tables that lie beside the records, held against the records that they were made of."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rbench.reports.csv import csv
from rbench.reports.html import html, html_beside
from rbench.reports.latex import latex
from rbench.reports.markdown import markdown
from rbench.results.runs import Runs, read_runs
from rbench.results.table import Table, table
from rbench.suite import cell as rules

_MADE: dict[str, Callable[[Table], str]] = {
    "md": markdown,
    "csv": csv,
    "tex": latex,
    "html": html,
    "more.html": html_beside,
}
_NOT_COMPARED = (
    re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]*"),
    re.compile(r'(?<=<details id="suite-1"><summary>)[^<]*'),
    re.compile(r"[^\s>]*(?=: \d+ older records left out)"),
)
"""Pictures, which another version of a library compresses otherwise, and whose pixels are verified where they are stored; and what the
folder was called when the table was written."""


@dataclass(frozen=True)
class Held:
    """What comes of holding the tables of a run folder against its records.

    Attributes:
        edited: a line for each table that the records do not give.
        notes: a line for each that shows some of the rows only, as after `rbench run --only`.
    """

    edited: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def held(root: Path, before: Runs) -> Held:
    """Which `leaderboard.*` of a run folder its records do not give.

    A table that was written before the folder was verified says that nothing is; that is no edit. Nor is one of some of the rows, which are
    told from leaderboard.csv. Tables of records of another version of the rules were written by another rbench, in other words, and are not
    looked at.

    Args:
        root: the run folder.
        before: the same folder, read before it was verified.
    """
    documents = [*(cell.document for cell in before.cells), *(cell.document for cell in before.corrupted)]
    if any(document.get("judge") != rules.JUDGE_VERSION for document in documents):
        return Held()
    names = [name for name in _MADE if (root / f"leaderboard.{name}").is_file()]
    if not names:
        return Held()
    left = {name: _plain((root / f"leaderboard.{name}").read_text("utf-8", "replace")) for name in names}
    written, notes = left.get("csv", ""), list[str]()
    for runs in _states(root, before):
        if not left:
            break
        made = table(runs)
        left = _other(left, made)
        if left and (part := _part(made, written)) is not None:
            other = _other(left, part)
            shown = f"{len(part.records)} of {len(made.records)} rows are shown"
            notes += [_line(root, name, shown, "shows all") for name in left if name not in other]
            left = other
    return Held(
        tuple(_line(root, name, "not what the records give", "writes it again, if they hold") for name in left),
        tuple(notes),
    )


def _other(left: Mapping[str, str], made: Table) -> dict[str, str]:
    """Those texts, by their format, that a table is not shown by."""
    # An older report may have left a second file that today's page has no need of and no link to.
    given = {name: _MADE[name](made) for name in left}
    return {name: text for name, text in left.items() if given[name] and text != _plain(given[name])}


def _line(root: Path, name: str, what: str, then: str) -> str:
    return f"{root / f'leaderboard.{name}'}: {what}; `rbench report {root} --to {_format(name)}` {then}"


def _part(made: Table, written: str) -> Table | None:
    """Those rows of a table that the text of a leaderboard.csv has; None where it has all of them, or none."""
    lines = set(written.splitlines())
    kept = [place for place in range(len(made.records)) if csv(made.at([place])).splitlines()[1] in lines]
    return made.at(kept) if 0 < len(kept) < len(made.records) else None


def _states(root: Path, before: Runs) -> Iterator[Runs]:
    """The folder as it was before it was verified, as it is now, and as it was when nothing was verified yet."""
    yield before
    yield read_runs([root])
    yield replace(
        before,
        cells=tuple(replace(cell, verified=False) for cell in before.cells),
        corrupted=tuple(replace(cell, verified=False) for cell in before.corrupted),
    )


def _plain(text: str) -> str:
    for pattern in _NOT_COMPARED:
        text = pattern.sub("", text)
    return text


def _format(name: str) -> str:
    return {"tex": "latex", "more.html": "html"}.get(name, name)
