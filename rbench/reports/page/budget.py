"""What stands in the page itself and what in the file beside it, so that a page of many rows opens at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rbench.reports.page.rows import RowView

MOST = 4_400_000
"""Bytes of a page with up to a thousand rows and names of usual length: the page of 5 MB less its style, script, flags and suites."""
ROW = 2_000
"""Bytes of a closed row with its points in the drawings."""
TEXT = 900_000
"""Bytes of evidence: every element of it is read before the page is shown, which pictures are not."""
ENCODED = 1.15
"""Bytes of a picture in the page for each byte of its colours: 0.9 of the ones seen, 1.2 of photographs, 1.34 of noise alone."""


@dataclass(frozen=True)
class Shares:
    """The evidence of rows, by their anchors.

    Attributes:
        here: that of the page; None where all of it is in the file beside it.
        beside: that of the file beside it: all evidence of some rows, the pictures of others.
    """

    here: dict[str, str | None]
    beside: dict[str, str]


def shares(
    rows: Sequence[RowView],
    evidence: Callable[[RowView, bool], str],
    elsewhere: Callable[[RowView], str],
    pictures: Callable[[RowView], str],
) -> Shares:
    """Fills the page from its top, and puts beside it what does not fit any more.

    It depends on the records alone, not on how well a library compresses pictures: the same rows are moved on every machine.

    Args:
        rows: in the order of the page.
        evidence: that of a row as HTML, with its pictures or with a link to them.
        elsewhere: all of it as HTML for the file beside the page.
        pictures: the pictures of a row alone.
    """
    room = max(0, MOST - ROW * len(rows))
    here, beside = dict[str, str | None](), dict[str, str]()
    used = 0
    for row in rows:
        text = evidence(row, True)
        size = len(text.encode()) - sum(len(one.uri) for one in row.sheets)
        if used + size <= min(TEXT, room):
            used += size
            here[row.anchor] = text
        else:
            here[row.anchor] = None
            beside[row.anchor] = elsewhere(row)
    left = (room - used) / ENCODED
    for row in rows:
        colours = sum(one.size for one in row.sheets)
        if here[row.anchor] is None or not colours:
            continue
        if colours <= left:
            left -= colours
        else:
            here[row.anchor] = evidence(row, False)
            beside[row.anchor] = pictures(row)
    return Shares(here, beside)
