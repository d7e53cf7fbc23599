"""Sections of the page: rows that were judged alike, with the suites, dates and versions they come from, the newest verified first."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rbench.reports.groups import heading, remark
from rbench.reports.page.rows import RowView
from rbench.reports.page.scatter import Plot, plots
from rbench.reports.page.suites import Suite
from rbench.reports.page.words import listed
from rbench.results.runs import ReadCell

LARGE = 100
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)", re.ASCII)


@dataclass(frozen=True)
class Section:
    """Rows that were judged alike.

    Attributes:
        anchor: the fragment of a link to it.
        heading: data, samples and threat; the backbone if there is only one.
        remark: how random purifiers were judged; empty if there are none.
        rows: the best first.
        backbones: whether there are several.
        suites: those that its rows come from.
        day: the day on which the newest of its cells was run, of the verified ones if there are any; empty if none says.
        versions: those of rbench that ran it; empty if none says.
        plots: drawings of its rows; none if fewer than two have a number.
    """

    anchor: str
    heading: str
    remark: str
    rows: Sequence[RowView]
    backbones: bool
    suites: Sequence[Suite]
    day: str
    versions: str
    plots: Sequence[Plot]

    @property
    def large(self) -> bool:
        """Whether it has so many rows that a browser takes long to measure its columns."""
        return len(self.rows) > LARGE

    @property
    def verified(self) -> int:
        """How many of its rows are verified."""
        return sum(bool(row.fields["verified"]) for row in self.rows)

    @property
    def best(self) -> RowView | None:
        """The best row; None if no row has a number."""
        return next((row for row in self.rows if row.fields["rank"] is not None), None)


def sections(rows: Iterable[tuple[RowView, Sequence[ReadCell]]], suites: Mapping[Path, Suite]) -> list[Section]:
    """The sections of a table: those with verified rows before those without, each from new to old.

    Args:
        rows: the rows in the order of the table, each with its cells.
        suites: those of the run folders that have one.
    """
    groups: dict[str, list[tuple[RowView, Sequence[ReadCell]]]] = {}
    for row, cells in rows:
        groups.setdefault(row.fields["group"], []).append((row, cells))
    made = [_section(f"table-{place}", group, suites) for place, group in enumerate(groups.values(), 1)]
    newest = sorted(made, key=lambda one: one.day, reverse=True)
    return sorted(newest, key=lambda one: not one.verified)


def _section(anchor: str, group: Sequence[tuple[RowView, Sequence[ReadCell]]], suites: Mapping[Path, Suite]) -> Section:
    rows = [row for row, _ in group]
    cells = [cell for _, some in group for cell in some]
    verified = [cell for row, some in group for cell in some if row.fields["verified"]]
    fields = [row.fields for row in rows]
    return Section(
        anchor=anchor,
        heading=heading(fields),
        remark=remark(fields),
        rows=rows,
        backbones=len({one["backbone"] for one in fields}) > 1,
        suites=list(dict.fromkeys(suites[cell.root] for cell in cells if cell.root in suites)),
        day=max(_said(verified or cells, "date", _DAY), default=""),
        versions=listed(_said(cells, "rbench", re.compile(r"[\w.+-]{1,20}", re.ASCII))),
        plots=plots(rows),
    )


def _said(cells: Iterable[ReadCell], name: str, pattern: re.Pattern[str]) -> list[str]:
    """What records say of themselves under a name, so far as it is of the right form: anybody can have written them."""
    found = [pattern.match(str(cell.record.provenance.get(name, ""))) for cell in cells if cell.record]
    return [one[0] for one in found if one]
