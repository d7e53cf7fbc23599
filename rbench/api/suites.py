"""Suites and their tables: what `rbench plan`, `run` and `report` do, for programs. No torch before something is run."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rbench import reports
from rbench.bundles.opened import opened
from rbench.errors import InputError
from rbench.registry.trust import trusting
from rbench.results.runs import Runs, read_runs
from rbench.results.table import Table
from rbench.results.table import table as table_of
from rbench.running.resume import doubted, open_run, pending
from rbench.suite.load import load_suite
from rbench.suite.plan import Plan
from rbench.suite.plan import plan as planned_cells

if TYPE_CHECKING:
    from rbench.api.result import Evaluation
    from rbench.api.shown import Told
    from rbench.running.progress import Progress


def plan(
    suite: str | Path,
    *,
    only: str | None = None,
    limit: int | None = None,
    changes: Sequence[str] = (),
    trust: bool = False,
) -> Plan:
    """The cells of a suite; nothing is executed.

    Args:
        suite: the suite file.
        only: cells whose `backbone/purifier/attack` match this glob; several are parted by commas.
        limit: at most so many samples.
        changes: `field.path=value` each, such as `attacks[0].steps=5`, as for `--set`.
        trust: whether code of your own that the suite names is the one that may run from now on; read it first.

    Returns:
        The plan: `cells` in the order to run, and as a frame.

    Raises:
        InputError: the suite is wrong; one line with its place in the file.

    Example:
        >>> import rbench
        >>> rbench.plan("suite.yaml", limit=4).frame[["purifier", "attack", "samples"]]
           purifier attack  samples
        0  identity   fgsm        4
        1      jpeg   fgsm        4
    """
    return planned_cells(load_suite(suite, changes, trusting(trust=trust)), only=only, limit=limit)


def run(
    suite: str | Path,
    *,
    out: str | Path | None = None,
    only: str | None = None,
    limit: int | None = None,
    changes: Sequence[str] = (),
    redo: Literal["missing", "failed", "all"] = "missing",
    device: str = "auto",
    batch_size: int | None = None,
    workers: int = 0,
    threads: int = 1,
    progress: bool = True,
    trust: bool = False,
) -> Table:
    """Runs what is missing of a suite and makes its leaderboard: `rbench run` without a terminal.

    The run folder gets the records, examples and reports that the command writes; `rbench verify` judges them again. Interrupted at any
    moment it goes on where it was.

    Args:
        suite: the suite file.
        out: the run folder; `runs/SUITE` if None.
        only: cells whose `backbone/purifier/attack` match this glob; several are parted by commas.
        limit: at most so many samples.
        changes: `field.path=value` each, such as `attacks[0].steps=5`, as for `--set`.
        redo: which cells to run again.
        device: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`.
        batch_size: images at once for rbench's own attacks; None: what is fastest, measured once for each defended model.
        workers: processes that attack; with 0 this process itself does.
        threads: of each process on the CPU.
        progress: whether a bar is shown on a terminal and in a notebook.
        trust: whether code of your own that the suite names may run; read it first.

    Returns:
        The leaderboard of the cells that were asked for. A cell that failed blocks its row, which has no number then.

    Raises:
        InputError: the suite is wrong; nothing was run.
        MissingError: something that the suite needs is not there.
        Interrupted: Ctrl-C or SIGTERM; what was finished is kept.

    Example:
        >>> import rbench
        >>> rbench.run("suite.yaml", limit=4, only="jpeg").frame["purifier"].tolist()
        ['jpeg']
    """
    path = Path(suite)
    spec = load_suite(path, changes, trusting(trust=trust))
    whole = planned_cells(spec, limit=limit)
    chosen = whole if only is None else planned_cells(spec, only=only, limit=limit)
    root = Path(out or Path("runs") / spec.suite)
    how: dict[str, Any] = {"device": device, "batch_size": batch_size, "workers": workers, "threads": threads}
    with open_run(whole, root, path) as folder:
        if chosen.corrupted:
            from rbench.running.corrupting import pending_corruptions, run_corruptions

            run_corruptions(pending_corruptions(chosen.corrupted, folder, redo), folder, **how)
        todo = pending(chosen.cells, folder, redo)
        unsure = doubted(chosen.cells, todo)
        if todo or unsure:
            from rbench.api.shown import bar
            from rbench.running.runner import run as run_cells

            with bar(wanted=progress) as told:
                images = spec.store.images
                run_cells(todo, folder, doubted=unsure, images=images, on_progress=_telling(told), **how)
    ids = {*(cell.id for cell in chosen.cells), *(cell.id for cell in chosen.corrupted)}
    leaderboard = table_of(read_runs([root])).having(ids)
    reports.write(leaderboard, root, ("md", "csv", "html"))
    return leaderboard


def table(*sources: "str | Path | Evaluation") -> Table:
    """A leaderboard of run folders, bundles and evaluations together; rows that were judged alike are ranked against each other.

    Args:
        *sources: run folders, such as `results/quickstart`, bundles, or results of `rbench.evaluate`.

    Returns:
        The table: `frame` has its rows, a reporter makes files of it.

    Raises:
        InputError: none was given, or one is no run folder.

    Example:
        >>> import rbench, torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
        >>> images = torch.rand(8, 1, 4, 4)
        >>> asked = {"images": images, "labels": net(images).argmax(1), "attack": "noise"}
        >>> found = [rbench.evaluate(net, purifier=name, **asked) for name in ("median", "gaussian-blur")]
        >>> sorted(rbench.table(*found).frame["purifier"])
        ['gaussian-blur', 'median']
    """
    if not sources:
        raise InputError("nothing was given.", place="table", remedy="Give a run folder, e.g. results/quickstart.")
    with ExitStack() as stack:
        named = [one for one in sources if isinstance(one, str | Path)]
        runs = read_runs([stack.enter_context(opened(Path(one))).root for one in named]) if named else Runs(())
        made = tuple(one.cell for found in sources if not isinstance(found, str | Path) for one in found.done)
        return table_of(Runs((*runs.cells, *made), runs.broken, runs.notes, runs.corrupted))


def _telling(told: "Told") -> "Callable[[Progress], None]":
    def on_progress(step: "Progress") -> None:
        told(f"{step.position}/{step.cells} {step.cell.title[-40:]}", step.samples, step.total)

    return on_progress
