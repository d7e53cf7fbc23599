"""The table as the page shows it: groups of rows, each with the cells, pictures and commands that are shown when it is opened."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rbench.errors import InputError
from rbench.harmless import without_paths
from rbench.reports.corruptions import figures, has_corruptions, sections, titles
from rbench.reports.corruptions import heading as corruption_heading
from rbench.reports.corruptions import legend as corruption_legend
from rbench.reports.corruptions import remarks as corruption_remarks
from rbench.reports.gallery import first_changed, ignores_purifier, strongest_first
from rbench.reports.groups import heading, remark
from rbench.reports.page.cells import CellView, Doubt, cell_view, doubt
from rbench.reports.page.gallery import Sheet, sheet
from rbench.reports.page.marks import Axis, axis
from rbench.reports.page.words import command, listed, pairs
from rbench.reports.plain import percent
from rbench.reports.published import comparison, has_published, legend, mark
from rbench.results.corruption_rows import CorruptionRow
from rbench.results.flags.catalogue import FLAGS, FlagFacts
from rbench.results.runs import ReadCell
from rbench.results.table import Table
from rbench.results.untrusted import read_text

MAX_SUITE = 2**18
"""Most bytes of a suite that is shown; a larger one was not written by a person."""


@dataclass(frozen=True)
class RowView:
    """A row.

    Attributes:
        anchor: the fragment of a link to it.
        fields: the columns of the table.
        threat: norm and radius.
        random: `yes`, `no`, or `?` where nothing was measured.
        axis: its accuracies on one line; None while it is blocked.
        doubts: flags of the row.
        cells: its cells.
        sheets: pictures of the strongest attack on it, and of the strongest that ignores the purifier, that changed some of them.
        purifier: parameters of the purifier.
        backbone: parameters of the backbone.
        command: the command that runs it again.
        suite: anchor of the suite it belongs to; empty if that could not be read.
        published: the published figure beside ours, in words; empty if there is none.
        mark: whether our interval holds it.
    """

    anchor: str
    fields: dict[str, Any]
    threat: str
    random: str
    axis: Axis | None
    doubts: Sequence[Doubt]
    cells: Sequence[CellView]
    sheets: Sequence[Sheet]
    purifier: Sequence[tuple[str, str]]
    backbone: Sequence[tuple[str, str]]
    command: str
    suite: str
    published: str
    mark: str

    @property
    def robust(self) -> str:
        """Robust accuracy in percent."""
        return percent(self.fields["robust_accuracy"])


@dataclass(frozen=True)
class GroupView:
    """Rows that were judged alike."""

    heading: str
    remark: str
    rows: Sequence[RowView]


@dataclass(frozen=True)
class Suite:
    """The text of a suite, for readers who want to run it again."""

    anchor: str
    name: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Page:
    """All that the template shows; `published` says what published figures are, and is empty where no row has one."""

    groups: Sequence[GroupView]
    suites: Sequence[Suite]
    flags: Sequence[tuple[str, FlagFacts]]
    choices: dict[str, Sequence[str]]
    notes: Sequence[str]
    broken: Sequence[str]
    published: str
    corruptions: Sequence["CorruptionsView"]
    corruptions_legend: str
    has_corruptions: bool


@dataclass(frozen=True)
class CorruptionsView:
    """A table of common corruptions.

    Attributes:
        heading: what was judged on what.
        titles: of the columns after the names.
        rows: backbone, purifier and the figures of each row.
        single: for each row its purifier and, for each corruption, the figures at each severity.
        severity: the severities.
        remarks: one line each.
    """

    heading: str
    titles: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[str]]]
    single: Sequence[tuple[str, Sequence[tuple[str, Sequence[str]]]]]
    severity: Sequence[int]
    remarks: Sequence[str]


def _corruptions(rows: Sequence[CorruptionRow]) -> CorruptionsView:
    shown, severity = titles(rows), rows[0].severity
    single = [
        (
            row.purifier,
            [(name, [percent(by[one].value) for one in severity if one in by]) for name, by in row.by_name.items()],
        )
        for row in rows
    ]
    lines = [(row.backbone, row.purifier, figures(row, shown)) for row in rows]
    return CorruptionsView(corruption_heading(rows), shown, lines, single, severity, corruption_remarks(rows))


def page(table: Table) -> Page:
    """The page of a table; reads the pictures, verifications and suites of its run folders."""
    roots = [
        *(cell.root for cells in table.cells for cell in cells),
        *(cell.root for row in table.corruptions for cell in row.cells),
    ]
    suites = _suites(roots)
    anchors = {root: suite.anchor for root, suite in suites.items()}
    rows = [_row(f"row-{place + 1}", fields, table, place, anchors) for place, fields in enumerate(table.rows())]
    marks = list(dict.fromkeys(row.fields["group"] for row in rows))
    groups = [[row for row in rows if row.fields["group"] == mark] for mark in marks]
    raised = {one.name for row in rows for one in (*row.doubts, *(d for cell in row.cells for d in cell.doubts))}
    return Page(
        groups=[
            GroupView(heading([r.fields for r in some]), remark([r.fields for r in some]), some) for some in groups
        ],
        suites=list(suites.values()),
        flags=[(name, facts) for name, facts in FLAGS.items() if name in raised],
        choices=_choices(rows),
        notes=[without_paths(note) for note in table.notes],
        broken=[without_paths(one.message) for one in table.broken],
        published=legend() if has_published(table.rows()) else "",
        corruptions=[_corruptions(some) for some in sections(table)],
        corruptions_legend=corruption_legend(table),
        has_corruptions=has_corruptions(table.rows()),
    )


def _row(anchor: str, fields: dict[str, Any], table: Table, place: int, suites: dict[Path, str]) -> RowView:
    cells = table.cells[place]
    record = next((cell.record for cell in cells if cell.record), None)
    random = fields["stochastic"]
    return RowView(
        anchor=anchor,
        fields=fields,
        threat=f"{fields['norm']} {fields['eps_text']}",
        random="?" if random is None else "yes" if random else "no",
        axis=axis(fields),
        doubts=[
            doubt(one.name, one.value, listed(part for part in (one.attack or "", one.detail) if part))
            for one in table.doubts[place]
        ],
        cells=[cell_view(cell) for cell in cells],
        sheets=_sheets(cells),
        purifier=pairs(record.purifier.params) if record else (),
        backbone=pairs(record.backbone.params) if record else (),
        command=command(fields["backbone"], fields["purifier"]),
        suite=suites.get(cells[0].root, "") if cells else "",
        published=comparison(fields),
        mark=mark(fields),
    )


def _sheets(cells: Sequence[ReadCell]) -> list[Sheet]:
    """Pictures of the strongest attack that uses the purifier and of the strongest that ignores it, so that they can be compared."""
    kinds = groupby(strongest_first(cells), key=ignores_purifier)
    sheets = [first_changed(map(sheet, kind), lambda one: one.unchanged) for _, kind in kinds]
    return [one for one in sheets if one is not None]


def _suites(roots: Iterable[Path]) -> dict[Path, Suite]:
    suites: dict[Path, Suite] = {}
    for root in dict.fromkeys(roots):
        try:
            text = read_text(root / "suite.yaml", MAX_SUITE)
        except (InputError, OSError):
            continue
        suites[root] = Suite(f"suite-{len(suites) + 1}", root.name, text.splitlines())
    return suites


def _choices(rows: Sequence[RowView]) -> dict[str, Sequence[str]]:
    """The values of each filter; no filter where all rows have the same value."""
    flags = {name for row in rows for name in row.fields["flags"]}
    offered: dict[str, Sequence[str]] = {
        "dataset": _unlike(row.fields["dataset"] for row in rows),
        "backbone": _unlike(row.fields["backbone"] for row in rows),
        "threat": _unlike(row.threat for row in rows),
        "random": _unlike(row.random for row in rows),
        "gradient": _unlike(row.fields["gradient"] or "-" for row in rows),
        "flag": [name for name in FLAGS if name in flags],
    }
    return {name: values for name, values in offered.items() if values}


def _unlike(values: Iterable[str]) -> Sequence[str]:
    distinct = list(dict.fromkeys(values))
    return distinct if len(distinct) > 1 else ()
