"""The outcome of verifying, on a terminal of 80 columns."""

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from rbench.reports.plain import named, percent, worded
from rbench.verifying.survivors import ENOUGH
from rbench.verifying.verdict import Verdict, Verified

WORTH_A_SHARE = 10.0
"""Least seconds of attacks for which the share that judging again took of them is shown; of less it means nothing."""


def verified(found: Verified, tables: Sequence[str] = ()) -> RenderableType:
    """A line for each cell under its backbone, the faults in full, and totals; one line in all for those that cannot be judged again.

    Args:
        found: what verifying has found.
        tables: what is wrong with the tables beside the records, one line each.
    """
    verdicts = _told(found)
    reasons = Counter(verdict.unjudged for verdict in found.verdicts if verdict.unjudged and not verdict.faults)
    backbones = dict.fromkeys(verdict.cell.label("backbone") for verdict in verdicts)
    parts: list[RenderableType] = []
    for name in backbones:
        here = [verdict for verdict in verdicts if verdict.cell.label("backbone") == name]
        parts += [Text(named(name), style="bold"), _grid(here), Text()]
    faults = [
        Text(worded(f"{_title(verdict)}: {fault}"), style="red") for verdict in verdicts for fault in verdict.faults
    ]
    notes = dict.fromkeys((*(note for verdict in verdicts for note in verdict.notes), *found.notes))
    return Group(
        *parts,
        *faults,
        *(Text(worded(one.message), style="red") for one in found.broken),
        *(Text(worded(line), style="red") for line in tables),
        *(Text(f"not judged: {worded(why)} ({count} cells, unverified)") for why, count in reasons.items()),
        *(Text(f"note: {worded(note)}", style="dim") for note in notes),
        *(Text(line) for line in totals(found)),
        *_outcome(found, tables),
    )


def _told(found: Verified) -> list[Verdict]:
    """The cells that have a line: all but those that cannot be judged again and have no fault."""
    return [verdict for verdict in found.verdicts if verdict.faults or not verdict.unjudged]


def _title(verdict: Verdict) -> str:
    labels = (named(verdict.cell.label(part)) for part in ("purifier", "attack"))
    return f"{'/'.join(labels)} ({verdict.cell.id})"


def _outcome(found: Verified, tables: Sequence[str]) -> list[Text]:
    """The last line of what does not hold, so that nobody takes the totals for success."""
    cells = sum(bool(verdict.faults) for verdict in found.verdicts)
    files = len(found.broken) + len(tables)
    said = [f"{count} {what}{'s' if count > 1 else ''}" for count, what in ((cells, "cell"), (files, "file")) if count]
    return [Text(f"FAILED: {' and '.join(said)} above.", style="bold red")] if said else []


_AGAIN = ("judged\nagain", "attacked\nagain", "fooled", "false at\nmost")
"""Columns of what was judged and attacked again; left out where only files were held against each other."""


def _grid(verdicts: Sequence[Verdict]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    grid.add_column("purifier", overflow="fold")
    grid.add_column("attack", overflow="fold")
    judged = any(verdict.evidence for verdict in verdicts)
    for name in ("robust", *(_AGAIN if judged else ())):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("outcome", no_wrap=True)
    for verdict in verdicts:
        grid.add_row(*_line(verdict), *(_again(verdict) if judged else ()), _mark(verdict))
    return grid


def _line(verdict: Verdict) -> list[Text | str]:
    record = verdict.cell.record
    robust = record.summary.robust_accuracy.value if record and record.summary else None
    return [
        Text(named(verdict.cell.label("purifier"))),
        Text(named(verdict.cell.label("attack"))),
        percent(robust),
    ]


def _again(verdict: Verdict) -> list[str]:
    evidence = verdict.evidence
    again = evidence.reattack if evidence else None
    return [
        str(evidence.examples) if evidence else "-",
        str(again.attacked) if again else "",
        str(again.fell) if again else "",
        percent(again.false_at_most) if again else "",
    ]


def _mark(verdict: Verdict) -> Text | str:
    if verdict.faults:
        return Text("FAILED", style="bold red")
    again = verdict.evidence.reattack if verdict.evidence else None
    return "too few" if again and again.attacked < ENOUGH else "ok"


def totals(found: Verified) -> list[str]:
    """What was judged and attacked again in all, a line each; empty where there is nothing."""
    verdicts = _told(found)
    if not verdicts:
        return []
    held = [verdict.evidence for verdict in verdicts if verdict.evidence]
    failed = sum(bool(verdict.faults) for verdict in verdicts)
    if not held:
        return [f"{len(verdicts) - failed} of {len(verdicts)} cells agree with their files."]
    spent = sum(v.cell.record.cost.seconds for v in verdicts if v.evidence and v.cell.record)
    judging = sum(one.seconds for one in held)
    lines = [
        f"{len(held)} of {len(verdicts)} cells verified: {sum(one.examples for one in held):,} examples judged again in {judging:.1f} s"
        + (f" ({_share(judging / spent)} the {spent:,.0f} s of the attacks)." if spent >= WORTH_A_SHARE else ".")
    ]
    if ties := sum(one.near_ties for one in held):
        lines.append(f"{ties} predictions differ by rounding: the two logits were as good as equal.")
    attacked = [one.reattack for one in held if one.reattack]
    if attacked:
        total, fooled = sum(one.attacked for one in attacked), sum(one.fell for one in attacked)
        seconds = sum(one.seconds for one in attacked)
        lines.append(f"{total} claimed survivors were attacked again in {seconds:.1f} s and {fooled} fell.")
        lines.append(
            "`false at most`: the percentage of a row's survivors that can be false all the same, with 95 % confidence."
        )
    again = [one.rerun for one in held if one.rerun]
    if again:
        worst = max(one.difference for one in again)
        lines.append(f"{len(again)} cells run again: robust accuracy at most {100 * worst:.1f} points lower.")
    return lines


def _share(share: float) -> str:
    return f"{100 * share:.1f} % of" if share < 1 else f"{share:.1f} times"
