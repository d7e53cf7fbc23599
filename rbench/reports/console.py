"""The leaderboard on a terminal of 80 columns."""

import io

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from rbench.harmless import columns
from rbench.reports.corruptions import figures, sections, titles
from rbench.reports.corruptions import heading as corruption_heading
from rbench.reports.corruptions import legend as corruption_legend
from rbench.reports.corruptions import remarks as corruption_remarks
from rbench.reports.groups import Row, by_backbone, groups, heading, never_run, remark
from rbench.reports.plain import named, percent, worded
from rbench.reports.published import comparison, has_published, legend
from rbench.results.corruption_rows import CorruptionRow
from rbench.results.flags.catalogue import FLAGS
from rbench.results.table import Table

MAX_BROKEN = 20
NAME_WIDTH = 18


def console(table: Table) -> RenderableType:
    """The leaderboard as something rich prints: groups, then the legend, then what could not be read."""
    parts: list[RenderableType] = []
    for group in groups(table):
        for rows in by_backbone(group):
            run = [row for row in rows if not never_run(row)]
            left = ", ".join(named(row["purifier"]) for row in rows if never_run(row))
            parts += [Text(heading(rows), style="bold"), *([_grid(run), *_remarks(run)] if run else [])]
            parts += [*([Text(f"Not run yet: {left}.", style="dim")] if left else []), Text()]
    for corrupted in sections(table):
        parts += [Text(f"Common corruptions: {corruption_heading(corrupted)}", style="bold"), _corrupted(corrupted)]
        parts += [*(Text(line, style="dim") for line in corruption_remarks(corrupted)), Text()]
    if not parts:
        parts += [Text("No rows: nothing has been recorded yet."), Text()]
    if said := corruption_legend(table):
        parts.append(Text(said, style="dim"))
    parts += [*(_legend(table) if table.records or not table.corruptions else []), *_unread(table)]
    return Group(*parts)


def text(table: Table, width: int = 80) -> str:
    """The same as plain text."""
    sink = io.StringIO()
    Console(file=sink, width=width, color_system=None, force_terminal=False).print(console(table))
    return "".join(f"{line.rstrip()}\n" for line in sink.getvalue().splitlines())


def _grid(rows: list[Row]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    grid.add_column("#", justify="right", no_wrap=True)
    # Folding a name costs a line, folding the flags costs none that is missed.
    names = max(columns(named(row["purifier"])) for row in rows)
    grid.add_column("purifier", overflow="fold", min_width=min(names, NAME_WIDTH))
    grid.add_column("standard", justify="right", no_wrap=True)
    grid.add_column("robust", justify="right", no_wrap=True)
    grid.add_column("95 %", no_wrap=True)
    grid.add_column("blind", justify="right", no_wrap=True)
    grid.add_column("strongest\nattack", overflow="fold")
    grid.add_column("flags", overflow="fold", min_width=5)
    for row in rows:
        grid.add_row(
            "-" if row["rank"] is None else str(row["rank"]),
            Text(named(row["purifier"])),
            percent(row["standard_accuracy"]),
            *_robust(row),
            percent(row["blind_robust_accuracy"]),
            Text(named(row["strongest_attack"] or "-")),
            " ".join(FLAGS[name].short for name in row["flags"]),
        )
    return grid


def _corrupted(rows: list[CorruptionRow]) -> Grid:
    shown, several = titles(rows), len({row.backbone for row in rows}) > 1
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    if several:
        grid.add_column("backbone", overflow="fold")
    grid.add_column("purifier", overflow="fold")
    for name in shown:
        short = name.replace("severity ", "sev.\n").replace("robust ", "robust\n")
        grid.add_column(short, justify="right", no_wrap=True)
    for row in rows:
        names = [Text(named(row.backbone))] if several else []
        grid.add_row(*names, Text(named(row.purifier)), *figures(row, shown))
    return grid


def _robust(row: Row) -> tuple[Text, str]:
    if row["robust_accuracy"] is None:
        return Text("-"), "blocked"
    return (
        Text(percent(row["robust_accuracy"]), style="bold"),
        f"{percent(row['robust_low'])}-{percent(row['robust_high'])}",
    )


def _remarks(rows: list[Row]) -> list[RenderableType]:
    blocked = [
        Text(f"{named(row['purifier'])}: no robust accuracy ({worded(row['status'])})", style="red")
        for row in rows
        if row["robust_accuracy"] is None
    ]
    beside = [Text(f"{named(row['purifier'])}: {said}") for row in rows if (said := comparison(row))]
    return [*blocked, *beside, *([Text(remark(rows), style="dim")] if remark(rows) else [])]


def _legend(table: Table) -> list[RenderableType]:
    raised = {name for row in table.rows() for name in row["flags"]}
    lines: list[RenderableType] = [
        Text(
            "Accuracies in percent of all samples. robust: the worst case over all attacks, with its 95 % "
            "interval; blind: over the attacks that ignore the purifier. In both every image also counts as a file of 8 bits.",
            style="dim",
        )
    ]
    if any(len({row["backbone"] for row in group}) > 1 for group in groups(table)):
        lines.append(Text("#: the rank among all backbones of one data set, its samples and threat.", style="dim"))
    if has_published(table.rows()):
        lines.append(Text(legend(), style="dim"))
    for name, facts in FLAGS.items():
        if name in raised:
            lines.append(Text(f"{facts.short} ", style="yellow").append(f"{name}: {facts.meaning}", style="default"))
    return lines


def _unread(table: Table) -> list[RenderableType]:
    lines = [Text(worded(note)) for note in table.notes]
    if table.broken:
        lines.append(Text(f"Not used ({len(table.broken)}):", style="red"))
        lines += [Text(f"  {worded(one.message)}") for one in table.broken[:MAX_BROKEN]]
    if len(table.broken) > MAX_BROKEN:
        lines.append(Text(f"  and {len(table.broken) - MAX_BROKEN} more"))
    return [*lines]
