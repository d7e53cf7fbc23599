"""`rbench quickstart`: the suite that comes with rbench, run, verified and explained."""

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from rbench.bundled_files import ASSETS
from rbench.cli import terminal
from rbench.cli.open import PAGE
from rbench.cli.run import Device
from rbench.cli.terms import Json, Limit, Workers
from rbench.harmless import STORED, harmless

if TYPE_CHECKING:
    from rbench.results.table import Table

SUITE = ASSETS / "quickstart.yaml"
"""A copy of `suites/quickstart.yaml`, which is not in the package."""

Out = Annotated[Path, typer.Option(metavar="DIR", help="Run folder.")]
Survivors = Annotated[
    int, typer.Option(min=0, metavar="K", help="Claimed survivors of each row to attack again, another seed.")
]


def command(
    out: Out = Path("runs/quickstart"),
    limit: Limit = None,
    survivors: Survivors = 10,
    device: Device = "auto",
    workers: Workers = "auto",
    as_json: Json = False,
) -> None:
    """Run the suite that comes with rbench, verify what it found, and show the leaderboard and how to read it.

    No clone and no download: data, backbone and purifiers are in the package. Running it again goes on where it was stopped.
    """
    from rbench import reports
    from rbench.cli.report import publish
    from rbench.cli.run import execute
    from rbench.cli.verify import FAILED, holds, judged_again
    from rbench.reports.verified import totals
    from rbench.results.runs import read_runs
    from rbench.results.table import table
    from rbench.suite.load import load_suite
    from rbench.suite.plan import plan

    planned = plan(load_suite(SUITE, ()), limit=limit)
    how = {"device": device, "batch_size": None, "threads": 1, "timeout": None, "ray_address": None}
    failed, _ = execute(planned, planned, out, SUITE, "missing", workers, how)
    terminal.tell("verifying: every stored example is judged again, and some survivors are attacked again")
    demand = {"survivors": survivors, "audit": False}
    found = judged_again(out, planned, device, demand, workers)
    whole = holds(found)
    leaderboard = table(read_runs([out]))
    publish(leaderboard, out, reports.formats("md,csv,html"), as_json=as_json)
    if whole:
        for line in totals(found):
            terminal.tell(line)
    if not as_json:
        terminal.say(f"\n{fill(reading(leaderboard), 80)}\n\nThe page: {harmless((out / PAGE).resolve(), STORED)}")
    if failed:
        terminal.tell(
            f"{len(failed)} of {len(planned.cells)} cells failed; `rbench status {harmless(out, STORED)}` says why"
        )
        raise typer.Exit(1)
    if not whole:
        terminal.tell(f"verification failed; `rbench verify {harmless(out, STORED)}` says where")
        raise typer.Exit(FAILED)


def reading(leaderboard: "Table") -> str:
    """One sentence on how to read the table, with the row that shows it best if there is one."""
    hidden = [row for row in leaderboard.rows() if row["robust_accuracy"] is not None and row["blind_robust_accuracy"]]
    text = "How to read it: `robust` is what is left under every attack; a purifier whose `blind` is much higher only hid the gradient"
    if not hidden:
        return f"{text}."
    most = max(hidden, key=lambda row: row["blind_robust_accuracy"] - row["robust_accuracy"])
    blind, robust = (f"{100 * most[name]:.1f} %" for name in ("blind_robust_accuracy", "robust_accuracy"))
    return f"{text}, as {harmless(most['purifier'], STORED)}: {blind} blind, {robust} robust."
