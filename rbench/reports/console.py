"""The leaderboard on a terminal of 80 columns."""

import io
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from rbench.reports.groups import groups, several_backbones
from rbench.reports.plain import percent, visible
from rbench.results.flags import FLAGS
from rbench.results.table import Table

MAX_BROKEN = 20


def console(table: Table) -> RenderableType:
    """The leaderboard as something rich prints: groups, then the legend, then what could not be read."""
    parts: list[RenderableType] = []
    for heading, rows in groups(table):
        parts += [Text(visible(heading), style="bold"), _grid(rows), *_blocked(rows), Text()]
    if not parts:
        parts.append(Text("No rows: nothing has been recorded yet."))
    parts += [*_legend(table), *_unread(table)]
    return Group(*parts)


def text(table: Table, width: int = 80) -> str:
    """The same as plain text."""
    sink = io.StringIO()
    Console(file=sink, width=width, color_system=None, force_terminal=False).print(console(table))
    return sink.getvalue()


def _grid(rows: list[dict[str, Any]]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
    grid.add_column("#", justify="right", no_wrap=True)
    with_backbone = several_backbones(rows)
    if with_backbone:
        grid.add_column("backbone", overflow="fold")
    grid.add_column("purifier", overflow="fold")
    grid.add_column("standard", justify="right", no_wrap=True)
    grid.add_column("robust (95 %)", justify="right", no_wrap=True)
    grid.add_column("blind", justify="right", no_wrap=True)
    grid.add_column("strongest attack", overflow="fold")
    grid.add_column("flags", overflow="fold")
    for row in rows:
        cells = [
            Text("-" if row["rank"] is None else str(row["rank"])),
            *([Text(visible(row["backbone"]))] if with_backbone else []),
            Text(visible(row["purifier"])),
            Text(percent(row["standard_accuracy"])),
            _robust(row),
            Text(percent(row["blind_robust_accuracy"])),
            Text(visible(row["strongest_attack"] or "-")),
            Text(" ".join(FLAGS[name].short for name in row["flags"])),
        ]
        grid.add_row(*cells)
    return grid


def _robust(row: dict[str, Any]) -> Text:
    value = row["robust_accuracy"]
    if value is None:
        return Text("blocked", style="red")
    interval = f"({percent(row['robust_low'])}-{percent(row['robust_high'])})"
    return Text(percent(value), style="bold").append(f" {interval:>12}", style="not bold")


def _blocked(rows: list[dict[str, Any]]) -> list[RenderableType]:
    return [
        Text(visible(f"{row['purifier']}: no robust accuracy ({row['status']})"), style="red")
        for row in rows
        if row["robust_accuracy"] is None
    ]


def _legend(table: Table) -> list[RenderableType]:
    raised = {name for row in table.rows() for name in row["flags"]}
    lines: list[RenderableType] = [
        Text(
            "Accuracies in percent of all samples. robust: the worst case over all attacks; blind: over the "
            "attacks that ignore the purifier.",
            style="dim",
        )
    ]
    for name, facts in FLAGS.items():
        if name in raised:
            line = Text(f"{facts.short} ", style="yellow").append(f"{name}: {facts.meaning}", style="default")
            lines.append(Padding(line, 0))
    return lines


def _unread(table: Table) -> list[RenderableType]:
    lines = [Text(visible(note)) for note in table.notes]
    if table.broken:
        lines.append(Text(f"Not used ({len(table.broken)}):", style="red"))
        lines += [Text(f"  {visible(one.message)}") for one in table.broken[:MAX_BROKEN]]
    if len(table.broken) > MAX_BROKEN:
        lines.append(Text(f"  and {len(table.broken) - MAX_BROKEN} more"))
    return [*lines]
