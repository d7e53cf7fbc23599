"""The leaderboard as a page of Markdown, in percent, for readers; programs read the CSV file."""

from rbench.harmless import without_paths
from rbench.reports.corruptions import has_corruptions, markdown_sections
from rbench.reports.groups import Row, groups, heading, remark
from rbench.reports.plain import markdown_name, markdown_text, percent
from rbench.reports.published import beside, has_published, legend
from rbench.results.flags.catalogue import FLAGS
from rbench.results.table import Table

_HEADER = (
    "#",
    "backbone",
    "purifier",
    "standard %",
    "robust % (95 % interval)",
    "blind %",
    "noise %",
    "strongest attack",
    "gradient",
    "flags",
)
_PUBLISHED = "published %"
_CORRUPTIONS = "corruptions %"
_MEANING = (
    "Accuracies count all samples. *robust* is the pointwise worst case over all attacks, *blind* the same over "
    "the attacks that ignore the purifier, *noise* the accuracy under uniform noise in the ball."
)
_RIGHT = {"#", "standard %", "robust % (95 % interval)", _PUBLISHED, _CORRUPTIONS, "blind %", "noise %"}
_BEFORE = _HEADER.index("blind %")


def report(table: Table) -> dict[str, str]:
    """A page of Markdown for readers."""
    return {"leaderboard.md": markdown(table)}


def markdown(table: Table) -> str:
    """The leaderboard with a heading for each group, the meaning of its flags, and what could not be read."""
    lines = ["# Leaderboard", ""]
    for rows in groups(table):
        lines += [f"## {markdown_text(heading(rows))}", "", *_grid(rows), ""]
        lines += [remark(rows), ""] if remark(rows) else []
    lines += markdown_sections(table)
    if not (table.records or table.corruptions):
        lines += ["Nothing has been recorded yet.", ""]
    if table.records or not table.corruptions:
        lines += [_MEANING, ""]
    lines += [
        *([legend(), ""] if has_published(table.rows()) else []),
        *_legend(table),
        *(f"- {markdown_text(without_paths(note))}" for note in table.notes),
        *(f"- not used: {markdown_text(without_paths(one.message))}" for one in table.broken),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _grid(rows: list[Row]) -> list[str]:
    lines = [list(_HEADER), *(_cells(row) for row in rows)]
    if has_published(rows):
        for line, shown in zip(lines, [_PUBLISHED, *map(beside, rows)], strict=True):
            line.insert(_BEFORE, shown)
    if has_corruptions(rows):
        for line, shown in zip(lines, [_CORRUPTIONS, *(percent(row["corruptions"]) for row in rows)], strict=True):
            line.insert(_BEFORE, shown)
    marks = ["---:" if name in _RIGHT else "---" for name in lines[0]]
    return [_line(lines[0]), _line(marks), *map(_line, lines[1:])]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Row) -> list[str]:
    return [
        "-" if row["rank"] is None else str(row["rank"]),
        markdown_name(row["backbone"]),
        markdown_name(row["purifier"]),
        percent(row["standard_accuracy"]),
        _robust(row),
        percent(row["blind_robust_accuracy"]),
        percent(row["noise_accuracy"]),
        markdown_name(row["strongest_attack"] or "-"),
        markdown_name(row["gradient"] or "-"),
        ", ".join(row["flags"]),
    ]


def _robust(row: Row) -> str:
    if row["robust_accuracy"] is None:
        return f"blocked ({markdown_text(row['status'])})"
    return f"**{percent(row['robust_accuracy'])}** ({percent(row['robust_low'])}-{percent(row['robust_high'])})"


def _legend(table: Table) -> list[str]:
    raised = {name for row in table.rows() for name in row["flags"]}
    lines = [f"- **{name}**: {facts.meaning} {facts.cure}" for name, facts in FLAGS.items() if name in raised]
    return [*lines, ""] if lines else []
