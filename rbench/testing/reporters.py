"""The conformance check of a reporter: a pure function from the leaderboard to the content of files."""

import atexit
import copy
import csv
import shutil
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from rbench.errors import RbenchError
from rbench.reports import Files, held, put
from rbench.results.table import Table
from rbench.suite.load import load_suite
from rbench.suite.plan import plan
from rbench.testing.subject import Subject
from rbench.testing.suite_runs import leaderboard_of
from rbench.testing.verdict import Verdict, fails, judged, skipped, tried

LABEL = "=1+1<i>x"
"""A name that anyone may give a row: a formula for a spreadsheet, markup for a page."""
SUITE = f"""\
suite: small
dataset: {{name: fashion-mnist-mini, samples: 4}}
threat: {{norm: Linf, eps: 0.05}}
backbones: [bundled:fashion-cnn]
purifiers: [identity, {{name: bit-depth, as: "{LABEL}"}}]
attacks: [{{name: pgd, steps: 2}}]
"""
_LATER = ("written", "names", "escapes", "again", "table", "no rows")
_FILES = "Return a map of paths, such as 'accuracies.txt', to texts or bytes."


def examine(subject: Subject) -> tuple[str, list[Verdict]]:
    """The table that the reporter was given, and a verdict on each property."""
    shown = "a table of two rows, one of them not run"
    if not callable(subject.made):
        return shown, [Verdict("type", "fails", f"it is a {type(subject.made).__name__}", "Name a function.")]
    report: Callable[[Table], object] = subject.made
    table = small_table()
    before = copy.deepcopy(table.records)
    made = dict[str, str | bytes]()
    start = time.perf_counter()
    first = tried("files", _FILES, partial(_files, report, table, subject.owner, made))
    taken = time.perf_counter() - start
    if fails([first]):
        return shown, [first, *skipped(_LATER, "what fails above comes first")]
    return shown, [
        first,
        tried("written", _FILES, partial(_written, made)),
        _names(made),
        tried("escapes", "Write texts that a spreadsheet can read.", partial(_escapes, made)),
        tried("again", "", partial(_again, report, table, made)),
        tried("table", "", partial(_untouched, table, before)),
        tried("no rows", "Write something for a table without rows.", partial(_empty, report, table, subject.owner)),
        Verdict("cost", "measured", f"{1e3 * taken:.3g} ms"),
    ]


def small_table() -> Table:
    """A leaderboard with its run folder: a row that was run, and one that was not and has a strange name."""
    folder = _folder()
    suite = folder / "small.yaml"
    suite.write_text(SUITE, encoding="utf-8")
    return leaderboard_of(plan(load_suite(suite)), folder / "run", suite, lambda cell: cell.purifier.label != LABEL)


@cache
def _folder() -> Path:
    """Kept until the process ends, so that the small suite is run once."""
    folder = Path(mkdtemp(prefix="rbench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _files(report: Callable[[Table], object], table: Table, owner: str, made: dict[str, str | bytes]) -> Verdict:
    made.update(held(report(table), owner))
    if not made:
        return Verdict("files", "fails", "it makes no file of a table with rows", _FILES)
    size = sum(len(content) for content in made.values())
    names = ", ".join(list(made)[:3]) + (f" and {len(made) - 3} more" if len(made) > 3 else "")
    empty = [name for name, content in made.items() if not content]
    found = f"{', '.join(empty[:3])}: nothing in it" if empty else f"{names}: {size:,} characters"
    return judged("files", found, "Leave out files that have nothing to say.", holds=not empty)


def _written(made: Files) -> Verdict:
    with TemporaryDirectory() as name:
        try:
            paths = put(made, Path(name))
        except RbenchError as error:
            cure = "Give paths that a folder can hold together: no file in the place of a folder."
            return Verdict("written", "fails", f"its files cannot be written: {error.problem}", cure)
    return Verdict("written", "holds", f"{_files_of(len(paths))} can be written")


def _names(made: Files) -> Verdict:
    texts = "".join(content for content in made.values() if isinstance(content, str))
    if not texts:
        return Verdict("names", "skipped", "it writes no text")
    if "identity" in texts:
        return Verdict("names", "holds", "a text says which row is which")
    return Verdict("names", "note", "no text names the row `identity`", "Write `row['purifier']` beside its numbers.")


def _escapes(made: Files) -> Verdict:
    cure = "Escape names for the format: html.escape for a page, a leading apostrophe for a spreadsheet."
    for name, content in made.items():
        if isinstance(content, bytes):
            continue
        if name.endswith((".html", ".htm", ".svg")) and "<i>x" in content:
            return Verdict("escapes", "fails", f"{name} takes the name of a row for markup", cure)
        if name.endswith(".csv") and any(
            field.startswith("=") for line in csv.reader(content.splitlines()) for field in line
        ):
            return Verdict(
                "escapes", "fails", f"{name} has the name of a row that a spreadsheet takes for a formula", cure
            )
    return Verdict("escapes", "holds", "names that are markup or formulas are only text in its pages and tables")


def _again(report: Callable[[Table], object], table: Table, made: Files) -> Verdict:
    second = report(table)
    same = isinstance(second, Mapping) and dict(second) == dict(made)
    found = "the same table gives the same files" if same else "the same table gives other files"
    return judged("again", found, "Leave out times, random numbers and the order of sets.", holds=same)


def _untouched(table: Table, before: tuple[dict[str, Any], ...]) -> Verdict:
    same = table.records == before
    found = "the table is as it was" if same else "it changes the rows of the table"
    return judged("table", found, "Take copies: `table.rows()`.", holds=same)


def _empty(report: Callable[[Table], object], table: Table, owner: str) -> Verdict:
    count = len(held(report(table.at([])), owner))
    return Verdict("no rows", "holds", f"of a table without rows it makes {_files_of(count)}")


def _files_of(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
