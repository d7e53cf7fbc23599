"""Suites run from tests: what `rbench run` does, without a terminal and in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rbench.registry.trust import trusting
from rbench.results.floors import Floor, fraction_of, require_known, tried
from rbench.results.runs import read_runs
from rbench.results.table import Table, table
from rbench.running.resume import doubted, open_run, pending
from rbench.suite.load import load_suite
from rbench.suite.plan import Plan, plan

if TYPE_CHECKING:
    from rbench.suite.cell import Cell


def leaderboard_of(
    planned: Plan, root: Path, suite: Path, wanted: Callable[["Cell"], bool] = lambda cell: True
) -> Table:
    """The leaderboard of a suite after what its run folder lacks was run.

    Args:
        planned: the plan of the suite.
        root: the run folder.
        suite: the file that was planned.
        wanted: which cells are run; the others stay missing.

    Raises:
        InputError: something of the suite is wrong.
        MissingError: something that it needs is not there.
    """
    cells = [cell for cell in planned.cells if wanted(cell)]
    with open_run(planned, root, suite) as folder:
        todo = pending(cells, folder, "missing")
        unsure = doubted(cells, todo)
        if todo or unsure:
            from rbench.running.runner import run  # torch takes seconds, and a finished suite has no use for it

            run(todo, folder, doubted=unsure, images=planned.spec.store.images)
    return table(read_runs([root])).having({cell.id for cell in planned.cells})


def assert_robust_accuracy(
    suite: str | Path, row: str, *, at_least: float, out: str | Path | None = None, trust: bool = False
) -> None:
    """Runs what is missing of a suite, and fails where a row has less robust accuracy than it must have.

    Args:
        suite: the suite file.
        row: the purifier as the leaderboard prints it, or `backbone/purifier`; of several rows, as in a sweep over eps, all must hold.
        at_least: robust accuracy in the pointwise worst case over all attacks, a fraction.
        out: the run folder; `runs/SUITE` if not given, as for `rbench run`. What it has already is not run again.
        trust: whether code of your own that the suite names (`python:...`) may run; read it first.

    Raises:
        AssertionError: names the row, what it has, with its interval, and what it must have.
        InputError: the suite is wrong, or has no such row.
        MissingError: something that the suite needs is not there.
    """
    __tracebackhide__ = True  # pytest shows the line of the test in place of this function
    floors = [Floor(row, fraction_of(at_least, "at_least"))]
    path = Path(suite)
    planned = plan(load_suite(path, (), trusting(trust=trust)))
    require_known(floors, {(cell.backbone.label, cell.purifier.label) for cell in planned.cells}, "row")
    found = tried(leaderboard_of(planned, Path(out or Path("runs") / planned.spec.suite), path), floors)
    if under := [one.line for one in found if not one.stands]:
        raise AssertionError("; ".join(under))
