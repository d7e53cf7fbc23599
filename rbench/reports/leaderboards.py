"""The tables that lie beside the records, held against the records that they were made of."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rbench.reports.csv import csv
from rbench.reports.difference import Difference, difference
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
_OUTCOME = re.compile(r'(?<=<p class="facts outcome">)[^<]*')
"""What the page says of how verifying ended, which the next verification changes."""


@dataclass(frozen=True)
class Held:
    """What comes of holding the tables of a run folder against its records.

    Attributes:
        edited: a line for each table that the records do not give.
        notes: a line for each that shows some of the rows only, as after `rbench run --only`, or tells of another verification.
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
    written, notes, nearest = left.get("csv", ""), list[str](), dict[str, Difference]()
    for runs in _states(root, before):
        if not left:
            break
        made = table(runs)
        given = _given(left, made)
        other = {name: text for name, text in left.items() if given[name] not in ("", text)}
        left = {name: text for name, text in other.items() if _without_outcome(given[name]) != _without_outcome(text)}
        notes += [
            _line(root, name, "tells of another verification", "of this one") for name in other if name not in left
        ]
        if left and (part := _part(made, written)) is not None:
            given = _given(left, part)
            shown = f"{len(part.records)} of {len(made.records)} rows are shown"
            notes += [_line(root, name, shown, "shows all") for name, text in left.items() if given[name] in ("", text)]
            left = {name: text for name, text in left.items() if given[name] not in ("", text)}
        for name, text in left.items():
            found = difference(text, given[name])
            nearest[name] = min(found, nearest.get(name, found))
    return Held(tuple(_edited(root, name, nearest[name]) for name in left), tuple(notes))


def _edited(root: Path, name: str, found: Difference) -> str:
    return _line(root, name, f"not what the records give; {found.words}", "writes it again, if they hold")


def _given(names: Iterable[str], made: Table) -> dict[str, str]:
    """What a table is shown by, by format; empty where today's page has no need of a second file, which an older report may have left."""
    return {name: _plain(_MADE[name](made)) for name in names}


def _without_outcome(text: str) -> str:
    return _OUTCOME.sub("", text)


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
