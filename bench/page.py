"""The page of all figures: every table with its command, every figure above its bar marked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.limits import Bar, bars

Rows = Mapping[str, Mapping[str, Any]]
Line = Mapping[str, Any]
"""Of a table: its figures by key, and the name of the row they belong to."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: above it.
        key: of the figure in a line.
        form: how it is written.
    """

    title: str
    key: str
    form: str = "{}"


@dataclass(frozen=True)
class Section:
    """A table of the page.

    Attributes:
        title: above it.
        only: `--only` of the command that makes it, which is how the names of its rows begin.
        text: what the columns mean.
        columns: of the table.
        lines: from a row to its lines; one if not given.
    """

    title: str
    only: str
    text: str
    columns: Sequence[Column]
    lines: Callable[[Line], list[Line]] = lambda row: [row]


def page(
    rows: Rows, about: Mapping[str, str], sections: Sequence[Section], command: str, figure: str | None = None
) -> str:
    """Everything as Markdown, with a figure if there is one."""
    found = {(bar.row, bar.key): bar for name, row in rows.items() for bar in bars(name, row)}
    facts = "; ".join(f"{name} {value}" for name, value in about.items())
    parts = [f"# How fast rbench is\n\nMeasured by `{command}`, one process and one thread. {facts}.", _summary(found)]
    if figure is not None:
        parts.append(f"![Time an image against the share of samples that survive]({figure})")
    for section in sections:
        own = {name: row for name, row in rows.items() if f"{name}/".startswith(f"{section.only}/")}
        if own:
            parts.append(_section(section, own, found, command))
    return "\n\n".join(parts) + "\n"


def _summary(found: Mapping[tuple[str, str], Bar]) -> str:
    missed = [bar for bar in found.values() if not bar.met]
    head = f"{len(found) - len(missed)} of {len(found)} bars are met."
    if not missed:
        return head
    lines = [
        f"| `{bar.row}` | {bar.what} | {bar.figure:.3g} | {'at least' if bar.least else 'at most'} {bar.limit:g} | {bar.by:.1%} |"
        for bar in sorted(missed, key=lambda bar: -bar.by)
    ]
    return "\n".join([head, "", "| missed | what | figure | bar | by |", "|---|---|---:|---:|---:|", *lines])


def _section(section: Section, own: Rows, found: Mapping[tuple[str, str], Bar], command: str) -> str:
    lines = [f"| {' | '.join(column.title for column in section.columns)} |", f"|{'---|' * len(section.columns)}"]
    absent = []
    for name, row in own.items():
        if "missing" in row:
            absent.append(f"- `{name}` was not measured: {row['missing']}")
            continue
        for line in section.lines(row):
            cells = [_cell(column, line, found, name) for column in section.columns]
            lines.append(f"| {' | '.join(cells)} |")
    notes = ([] if len(lines) == 2 else ["\n".join(lines)]) + (["\n".join(absent)] if absent else [])
    made = f"    {command} --only '{section.only}'"
    return "\n\n".join([f"## {section.title}", section.text, made, *notes])


def _cell(column: Column, line: Line, found: Mapping[tuple[str, str], Bar], name: str) -> str:
    value = line.get(column.key)
    if value is None:
        return ""
    text = column.form.format(value).replace("|", "\\|")
    bar = found.get((name, line.get("bars", {}).get(column.key, column.key)))
    if bar is None or bar.met:
        return text
    return f"**{text}** (bar {bar.limit:g}, missed)"
