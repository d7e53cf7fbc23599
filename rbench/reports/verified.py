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
    verdicts = [verdict for verdict in found.verdicts if verdict.faults or not verdict.unjudged]
    reasons = Counter(verdict.unjudged for verdict in found.verdicts if verdict.unjudged and not verdict.faults)
    backbones = dict.fromkeys(verdict.cell.label("backbone") for verdict in verdicts)
    parts: list[RenderableType] = []
    for name in backbones:
        here = [verdict for verdict in verdicts if verdict.cell.label("backbone") == name]
        parts += [Text(named(name), style="bold"), _grid(here), Text()]
    faults = [
        Text(worded(f"{verdict.cell.id}: {fault}"), style="red") for verdict in verdicts for fault in verdict.faults
    ]
    notes = dict.fromkeys((*(note for verdict in verdicts for note in verdict.notes), *found.notes))
    return Group(
        *parts,
        *faults,
        *(Text(worded(one.message), style="red") for one in found.broken),
        *(Text(worded(line), style="red") for line in tables),
        *(Text(f"not judged: {worded(why)} ({count} cells, unverified)") for why, count in reasons.items()),
        *(Text(f"note: {worded(note)}", style="dim") for note in notes),
        *(_sum(verdicts) if verdicts else ()),
    )


def _grid(verdicts: Sequence[Verdict]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    grid.add_column("purifier", overflow="fold")
    grid.add_column("attack", overflow="fold")
    grid.add_column("robust", justify="right", no_wrap=True)
    grid.add_column("judged\nagain", justify="right", no_wrap=True)
    grid.add_column("attacked\nagain", justify="right", no_wrap=True)
    grid.add_column("fooled", justify="right", no_wrap=True)
    grid.add_column("false at\nmost", justify="right", no_wrap=True)
    grid.add_column("", no_wrap=True)
    for verdict in verdicts:
        grid.add_row(*_line(verdict))
    return grid


def _line(verdict: Verdict) -> list[Text | str]:
    record, evidence = verdict.cell.record, verdict.evidence
    robust = record.summary.robust_accuracy.value if record and record.summary else None
    again = evidence.reattack if evidence else None
    return [
        Text(named(verdict.cell.label("purifier"))),
        Text(named(verdict.cell.label("attack"))),
        percent(robust),
        str(evidence.examples) if evidence else "-",
        str(again.attacked) if again else "",
        str(again.fell) if again else "",
        percent(again.false_at_most) if again else "",
        _mark(verdict),
    ]


def _mark(verdict: Verdict) -> Text | str:
    if verdict.faults:
        return Text("FAILED", style="bold red")
    again = verdict.evidence.reattack if verdict.evidence else None
    return "too few" if again and again.attacked < ENOUGH else "ok"


def _sum(verdicts: Sequence[Verdict]) -> list[Text]:
    held = [verdict.evidence for verdict in verdicts if verdict.evidence]
    failed = sum(bool(verdict.faults) for verdict in verdicts)
    if not held:
        return [Text(f"{len(verdicts) - failed} of {len(verdicts)} cells agree with their files.")]
    spent = sum(v.cell.record.cost.seconds for v in verdicts if v.evidence and v.cell.record)
    judging = sum(one.seconds for one in held)
    lines = [
        f"{len(held)} of {len(verdicts)} cells verified: {sum(one.examples for one in held):,} examples judged again in {judging:.1f} s"
        + (f" ({100 * judging / spent:.1f} % of the {spent:,.0f} s of the attacks)." if spent >= WORTH_A_SHARE else ".")
    ]
    if ties := sum(one.near_ties for one in held):
        lines.append(f"{ties} predictions differ by rounding: the two logits were as good as equal.")
    attacked = [one.reattack for one in held if one.reattack]
    if attacked:
        total, fooled = sum(one.attacked for one in attacked), sum(one.fell for one in attacked)
        seconds = sum(one.seconds for one in attacked)
        lines.append(
            f"{fooled} of {total} claimed survivors were fooled with another seed, in {seconds:.1f} s; of those of a row at most the share "
            "under `false at most` (percent) is false, with 95 % confidence."
        )
    again = [one.rerun for one in held if one.rerun]
    if again:
        worst = max(one.difference for one in again)
        lines.append(f"{len(again)} cells run again: robust accuracy at most {100 * worst:.1f} points lower.")
    return [Text(line) for line in lines]
