"""The rows of the table as the page shows them, each with the cells, pictures and commands that are shown when it is opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rbench.reports.gallery import first_changed, ignores_purifier, strongest_first
from rbench.reports.page.cells import CellView, Doubt, cell_view, doubt
from rbench.reports.page.gallery import Sheet, sheet
from rbench.reports.page.machines import Machine
from rbench.reports.page.marks import Axis, axis
from rbench.reports.page.suites import Suite
from rbench.reports.page.words import command, listed, pairs
from rbench.reports.plain import percent
from rbench.reports.published import comparison, mark
from rbench.results.runs import ReadCell
from rbench.results.table import Table


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


def row_view(table: Table, place: int, suites: Mapping[Path, Suite], machines: Mapping[Machine, str]) -> RowView:
    """The row at a place of the table; reads its pictures and verifications.

    Args:
        table: the table.
        place: of the row in it.
        suites: those of the run folders that have one.
        machines: the anchor of each machine.
    """
    fields, cells = dict(table.records[place]), table.cells[place]
    record = next((cell.record for cell in cells if cell.record), None)
    random = fields["stochastic"]
    return RowView(
        anchor=f"row-{place + 1}",
        fields=fields,
        threat=f"{fields['norm']} {fields['eps_text']}",
        random="?" if random is None else "yes" if random else "no",
        axis=axis(fields),
        doubts=[
            doubt(one.name, one.value, listed(part for part in (one.attack or "", one.detail) if part))
            for one in table.doubts[place]
        ],
        cells=[cell_view(cell, machines) for cell in cells],
        sheets=_sheets(cells),
        purifier=pairs(record.purifier.params) if record else (),
        backbone=pairs(record.backbone.params) if record else (),
        command=command(fields["backbone"], fields["purifier"]),
        suite=suites[cells[0].root].anchor if cells and cells[0].root in suites else "",
        published=comparison(fields),
        mark=mark(fields),
    )


def _sheets(cells: Sequence[ReadCell]) -> list[Sheet]:
    """Pictures of the strongest attack that uses the purifier and of the strongest that ignores it, so that they can be compared."""
    kinds = groupby(strongest_first(cells), key=ignores_purifier)
    sheets = [first_changed(map(sheet, kind), lambda one: one.unchanged) for _, kind in kinds]
    return [one for one in sheets if one is not None]
