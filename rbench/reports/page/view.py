"""All that the page shows of a table, as values."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rbench.harmless import without_paths
from rbench.reports.corruptions import has_corruptions
from rbench.reports.corruptions import legend as corruption_legend
from rbench.reports.corruptions import sections as corruption_sections
from rbench.reports.page.corrupted import CorruptionsView, corruptions_view
from rbench.reports.page.machines import Machine, machines
from rbench.reports.page.rows import RowView, row_view
from rbench.reports.page.sections import Section, sections
from rbench.reports.page.suites import Suite, suites_of
from rbench.reports.published import has_published, legend
from rbench.results.flags.catalogue import FLAGS, FlagFacts
from rbench.results.table import Table

_KEYS = {
    "standard_accuracy": "standard",
    "robust_accuracy": "robust",
    "blind_robust_accuracy": "blind",
    "noise_accuracy": "noise",
    "strongest_attack": "attack",
}
"""What the page calls columns by."""


@dataclass(frozen=True)
class Page:
    """All that the template shows.

    Attributes:
        sections: tables of rows, in the order of the page.
        corruptions: tables of common corruptions.
        suites: those of the run folders.
        flags: those raised somewhere, with what they mean.
        machines: names and values of each machine, and its anchor.
        choices: the values of each filter.
        notes: what else to know.
        broken: files that were not used.
        published: what published figures are; empty where no row has one.
        corruptions_legend: what those figures are; empty where there are none.
        has_corruptions: whether a row has a mean corruption accuracy.
        meanings: of the columns, by their keys on the page.
    """

    sections: Sequence[Section]
    corruptions: Sequence[CorruptionsView]
    suites: Sequence[Suite]
    flags: Sequence[tuple[str, FlagFacts]]
    machines: Sequence[tuple[Machine, str]]
    choices: dict[str, Sequence[str]]
    notes: Sequence[str]
    broken: Sequence[str]
    published: str
    corruptions_legend: str
    has_corruptions: bool
    meanings: dict[str, str]

    @property
    def rows(self) -> Sequence[RowView]:
        """All rows, in the order of the page."""
        return [row for section in self.sections for row in section.rows]

    @property
    def verified(self) -> int:
        """How many rows are verified."""
        return sum(section.verified for section in self.sections)


def page(table: Table) -> Page:
    """The page of a table; reads the pictures, verifications and suites of its run folders."""
    roots = [
        *(cell.root for cells in table.cells for cell in cells),
        *(cell.root for row in table.corruptions for cell in row.cells),
    ]
    suites = suites_of(roots)
    known = machines(cell.record.provenance for cells in table.cells for cell in cells if cell.record)
    rows = [row_view(table, place, suites, known) for place in range(len(table.records))]
    raised = {one.name for row in rows for one in (*row.doubts, *(d for cell in row.cells for d in cell.doubts))}
    return Page(
        sections=sections(zip(rows, table.cells, strict=True), suites),
        corruptions=[
            corruptions_view(f"corruptions-{place}", some) for place, some in enumerate(corruption_sections(table), 1)
        ],
        suites=list(suites.values()),
        flags=[(name, facts) for name, facts in FLAGS.items() if name in raised],
        machines=list(known.items()),
        choices=_choices(rows),
        notes=[without_paths(note) for note in table.notes],
        broken=[without_paths(one.message) for one in table.broken],
        published=legend() if has_published(table.rows()) else "",
        corruptions_legend=corruption_legend(table),
        has_corruptions=has_corruptions(table.rows()),
        meanings={_KEYS.get(name, name): column.meaning for name, column in table.columns.items()},
    )


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
