"""Tables of common corruptions as the page shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

from rbench.reports.corruptions import figures, heading, remarks, titles
from rbench.reports.plain import percent
from rbench.results.corruption_rows import CorruptionRow


@dataclass(frozen=True)
class CorruptionsView:
    """A table of common corruptions.

    Attributes:
        anchor: the fragment of a link to it.
        heading: what was judged on what.
        titles: of the columns after the names.
        rows: backbone, purifier and the figures of each row.
        single: for each row its purifier and, for each corruption, the figures at each severity.
        severity: the severities.
        remarks: one line each.
    """

    anchor: str
    heading: str
    titles: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[str]]]
    single: Sequence[tuple[str, Sequence[tuple[str, Sequence[str]]]]]
    severity: Sequence[int]
    remarks: Sequence[str]


def corruptions_view(anchor: str, rows: Sequence[CorruptionRow]) -> CorruptionsView:
    """The table of rows that were judged alike."""
    shown, severity = titles(rows), rows[0].severity
    single = [
        (
            row.purifier,
            [(name, [percent(by[one].value) for one in severity if one in by]) for name, by in row.by_name.items()],
        )
        for row in rows
    ]
    lines = [(row.backbone, row.purifier, figures(row, shown)) for row in rows]
    return CorruptionsView(anchor, heading(rows), shown, lines, single, severity, remarks(rows))
