"""Common corruptions in reports: the mean corruption accuracy of each defended model, in words and as lines of a table."""

import csv as standard
import io
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rbench.claims.figures import source
from rbench.reports.groups import Row
from rbench.reports.plain import csv_text, markdown_name, markdown_text, named, percent, worded
from rbench.results.corruption_rows import CorruptionRow
from rbench.results.statistics import Estimate
from rbench.results.table import Table

_FIELDS = (
    *("dataset", "backbone", "purifier", "images", "corruption", "severity"),
    *("accuracy", "low", "high", "n", "draws", "decide", "standard_accuracy", "published", "verified"),
)
ALL = "all"
"""In the file, the mean over all corruptions, or over all severities."""


def sections(table: Table) -> list[list[CorruptionRow]]:
    """Rows that were judged alike, the best first; none where the table has no corruptions."""
    return [list(rows) for _, rows in groupby(table.corruptions, key=lambda row: row.group)]


def heading(rows: Sequence[CorruptionRow]) -> str:
    """Data set, samples, corruptions and severities on one harmless line; the backbone if there is only one."""
    first = rows[0]
    n = "?" if first.n is None else f"{first.n:,}"
    backbones = {row.backbone for row in rows}
    one = [named(first.backbone)] if len(backbones) == 1 else []
    return ", ".join([f"{named(first.dataset)} ({n} samples)", *one, first.of, _images(first)])


def _images(row: CorruptionRow) -> str:
    return "read from files" if row.images == "files" else "made with ImageNet-C's parameters"


def titles(rows: Sequence[CorruptionRow]) -> list[str]:
    """The columns of a section after the names."""
    threats = dict.fromkeys(row.robust[0] for row in rows if row.robust)
    robust = [f"robust ({named(next(iter(threats)))})"] if threats else []
    published = ["published"] if any(row.published is not None for row in rows) else []
    severities = [f"severity {one}" for one in rows[0].severity] if len(rows[0].severity) > 1 else []
    return ["standard", "corruptions", "95 %", *severities, *published, *robust]


def figures(row: CorruptionRow, shown: Sequence[str]) -> list[str]:
    """The figures of a row in percent, in the order of `titles`."""
    mean = row.mean
    found = {
        "standard": _value(row.standard),
        "corruptions": _value(mean),
        "95 %": "blocked" if mean is None else f"{percent(mean.low)}-{percent(mean.high)}",
        **{f"severity {one}": _value(row.by_severity.get(one)) for one in row.severity},
        "published": percent(row.published),
    }
    return [found[name] if name in found else percent(row.robust[1] if row.robust else None) for name in shown]


def _value(estimate: Estimate | None) -> str:
    return percent(None if estimate is None else estimate.value)


def remarks(rows: Sequence[CorruptionRow]) -> list[str]:
    """What a reader should know of single rows of a section, one line each."""
    blocked = [f"{named(row.purifier)}: no mean ({worded(row.status)})" for row in rows if row.mean is None]
    draws = max(row.draws or 1 for row in rows)
    random = [f"Random purifiers: {draws} draws for each image, decide: {rows[0].decide}."] if draws > 1 else []
    open_ = [named(row.purifier) for row in rows if not row.verified and row.mean is not None]
    return [*blocked, *random, *([f"Not verified: {', '.join(open_)}."] if open_ else [])]


def legend(table: Table) -> str:
    """What the figures are, for below the tables; empty where there are none."""
    if not table.corruptions:
        return ""
    made = any(row.images != "files" for row in table.corruptions)
    parts = [
        "corruptions: mean accuracy over corruptions and severities (mCA), a mean and no worst case; its 95 % interval is a bootstrap over "
        "images, all that was measured of an image drawn together."
    ]
    if made:
        parts.append(
            "Images were made by imagecorruptions-imaug with the parameters of ImageNet-C: small ones are not those of CIFAR-10-C."
        )
    if any(row.published is not None for row in table.corruptions):
        parts.append(f"published: what {source()} has of the same model on all of CIFAR-10-C.")
    return " ".join(parts)


def has_corruptions(rows: Sequence[Row]) -> bool:
    """Whether one of the rows of a leaderboard has a mean corruption accuracy; its columns are there only then."""
    return any(row.get("corruptions") is not None for row in rows)


def markdown_sections(table: Table) -> list[str]:
    """The lines of a page of Markdown."""
    lines = list[str]()
    for rows in sections(table):
        shown = titles(rows)
        lines += [f"## Common corruptions: {markdown_text(heading(rows))}", ""]
        lines += [
            _line(["backbone", "purifier", *(f"{name} %" if name != "95 %" else "95 % interval" for name in shown)])
        ]
        lines += [_line(["---", "---", *("---:" for _ in shown)])]
        for row in rows:
            values = [
                f"**{one}**" if name == "corruptions" else one
                for name, one in zip(shown, figures(row, shown), strict=True)
            ]
            lines.append(_line([markdown_name(row.backbone), markdown_name(row.purifier), *values]))
        lines += ["", *(line for remark in remarks(rows) for line in (markdown_text(remark), ""))]
    return [*lines, *([markdown_text(legend(table)), ""] if lines else [])]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def corruptions_csv(table: Table) -> str:
    """A line for each corruption and severity of each row, and for the means; fractions in full precision."""
    sink = io.StringIO()
    writer = standard.writer(sink, lineterminator="\n")
    writer.writerow(_FIELDS)
    for row in table.corruptions:
        for name, severity, found in _estimates(row):
            texts = [csv_text(text) for text in (row.dataset, row.backbone, row.purifier, row.images, name)]
            numbers = [found.value, found.low, found.high, found.n, row.draws]
            rest = [row.standard.value if row.standard else None, row.published, row.verified]
            values = [*map(_field, numbers), csv_text(row.decide), *map(_field, rest)]
            writer.writerow([*texts, severity, *values])
    return sink.getvalue()


def documents(table: Table) -> list[dict[str, Any]]:
    """The rows as JSON values, for programs."""
    return [
        {
            "dataset": row.dataset,
            "backbone": row.backbone,
            "purifier": row.purifier,
            "n": row.n,
            "images": row.images,
            "status": row.status,
            "verified": row.verified,
            "standard_accuracy": row.standard and row.standard._asdict(),
            "corruptions": row.mean and row.mean._asdict(),
            "severities": {str(one): found._asdict() for one, found in row.by_severity.items()},
            "names": {name: {str(one): found.value for one, found in by.items()} for name, by in row.by_name.items()},
            "published": row.published,
        }
        for row in table.corruptions
    ]


def _estimates(row: CorruptionRow) -> list[tuple[str, str, Estimate]]:
    single = [(name, str(one), found) for name, by in row.by_name.items() for one, found in by.items()]
    means = [(ALL, str(one), found) for one, found in row.by_severity.items()]
    return [*single, *means, *([(ALL, ALL, row.mean)] if row.mean else [])]


def _field(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else repr(value)
