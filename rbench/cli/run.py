"""`rbench run`: what is missing of a suite, then its leaderboard."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rbench.cli import terminal
from rbench.cli.following import Following, followed
from rbench.cli.terms import Json, Limit, Only, Set, Suite, Workers
from rbench.cli.trusting import Trust, must_be_trusted
from rbench.errors import InputError
from rbench.harmless import NAME, STORED, harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rbench.results.corruption_record import CorruptionRecord
    from rbench.results.record import Record
    from rbench.results.store import RunFolder
    from rbench.running.progress import Progress
    from rbench.suite.cell import Cell
    from rbench.suite.corruptions import CorruptedCell
    from rbench.suite.plan import Plan

Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder. [default: runs/SUITE]", show_default=False)]
Redo = Annotated[Literal["missing", "failed", "all"], typer.Option(help="Which cells to run again.")]
Device = Annotated[str, typer.Option(metavar="D", help="auto, cpu, cuda or cuda:N.")]
BatchSize = Annotated[
    str,
    typer.Option(
        metavar="B", envvar="RBENCH_BATCH_SIZE", help="Images at once for rbench's own attacks; auto: what is fastest."
    ),
]
Executor = Annotated[Literal["local", "ray"], typer.Option(help="Where the workers are.")]
RayAddress = Annotated[str, typer.Option(metavar="A", help="Of the Ray cluster; local starts one on this machine.")]
Yes = Annotated[bool, typer.Option("--yes", help="Run also what takes more than 10,000,000,000 passes.")]
Timeout = Annotated[
    str | None,
    typer.Option(metavar="SECONDS", help="A worker that takes longer for a span is ended, and the cell has failed."),
]
Threads = Annotated[int, typer.Option(min=1, metavar="N", help="Threads of each process on the CPU.")]
FailUnder = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-under",
        metavar="ROW=A",
        help="Exit with 1 if a row has less robust accuracy than A, e.g. jpeg=0.4. Repeatable.",
    ),
]


def command(
    suite: Suite,
    set_: Set = None,
    out: Out = None,
    only: Only = None,
    limit: Limit = None,
    redo: Redo = "missing",
    device: Device = "auto",
    batch_size: BatchSize = "auto",
    workers: Workers = "auto",
    threads: Threads = 1,
    timeout: Timeout = None,
    executor: Executor = "local",
    ray_address: RayAddress = "local",
    fail_under: FailUnder = None,
    yes: Yes = False,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Run what is missing of a suite, print the leaderboard and write it beside the results."""
    from rbench import reports
    from rbench.cli.report import publish, told_files
    from rbench.results.floors import floor_of, require_known, tried
    from rbench.results.runs import read_runs
    from rbench.results.table import table
    from rbench.running.batch_sizes import batch_size_of
    from rbench.running.timeout import timeout_of
    from rbench.suite.load import load_suite
    from rbench.suite.plan import plan

    size, seconds, floors = batch_size_of(batch_size), timeout_of(timeout), list(map(floor_of, fail_under or ()))
    spec = load_suite(suite, set_ or (), _read(suite, must_be_trusted(suite, trust=trust)))
    whole = plan(spec, limit=limit)
    chosen = whole if only is None else plan(spec, only=only, limit=limit)
    models: list[Cell | CorruptedCell] = [*chosen.cells, *chosen.corrupted]
    require_known(floors, {(cell.backbone.label, cell.purifier.label) for cell in models})
    root = out or _usual(spec.suite)
    if root.exists() and not root.is_dir():
        raise InputError("expected a folder.", place=f"--out: {root}", found="a file")
    _require_meant(chosen.cells, root, redo, yes=yes)
    how: dict[str, Any] = {"device": device, "batch_size": size, "threads": threads, "timeout": seconds}
    how["ray_address"] = ray_address if executor == "ray" else None
    failed, ran = execute(whole, chosen, root, suite, redo, workers, how)
    leaderboard = table(read_runs([root])).having({cell.id for cell in models})
    failed += [cell.id for row in leaderboard.corruptions for cell in row.cells if cell.status == "failed"]
    held = tried(leaderboard, floors)
    try:
        told = told_files if ran and not as_json else None
        publish(leaderboard, root, reports.formats("md,csv,html"), as_json=as_json, on_written=told)
        unverified = any("unverified" in row["flags"] for row in leaderboard.rows())
        if told and unverified and not failed and whole.spec.store.images != "none":
            verify = f"rbench verify {harmless(root, STORED)}{' --trust' if trust else ''}"
            terminal.tell(f"next: `{verify}` judges every stored example again")
    finally:
        if failed:
            terminal.tell(f"{len(failed)} of {len(models)} cells failed; --redo failed runs them again")
        for one in held:
            terminal.tell(f"--fail-under: {one.line}")
    if failed or not all(one.stands for one in held):
        raise typer.Exit(1)


def execute(
    whole: "Plan", chosen: "Plan", root: Path, suite: Path, redo: Redo, workers: str, how: dict[str, Any]
) -> tuple[list[str], bool]:
    """Runs what a folder lacks of the chosen part of a plan.

    Args:
        whole: the plan, which is written beside the results.
        chosen: the part of it that is wanted now.
        root: the run folder; made if it is not there.
        suite: the file that the plan was read from.
        redo: which cells are run again.
        workers: how many, as a text.
        how: the other arguments of `rbench.running.runner.run`.

    Returns:
        The ids of the attacked cells that have failed, and whether anything was run.

    Raises:
        InputError: the folder is another's, or the suite does not fit it.
    """
    from rbench.running.resume import doubted, open_run, pending
    from rbench.running.signals import interruptible

    with open_run(whole, root, suite) as folder, interruptible():  # a signal also ends what is slow to import
        # First, since they are soon done: what is wrong with their files is told before hours of attacks.
        corrupted = _corrupted(chosen, folder, redo, workers, how)
        todo = pending(chosen.cells, folder, redo, terminal.note)
        unsure, ran = doubted(chosen.cells, todo), []
        if todo or unsure:
            # Imported here: torch takes seconds, and a finished suite has no use for it.
            from rbench.allocator import keep_freed_memory
            from rbench.running.pool import workers_for
            from rbench.running.runner import run

            keep_freed_memory()
            with followed("loading and checking the models", "samples of all cells") as following:
                ran = run(
                    todo,
                    folder,
                    doubted=unsure,
                    images=whole.spec.store.images,
                    workers=workers_for(workers, how["device"], how["threads"], [*todo, *unsure]),
                    on_progress=_shown(following),
                    on_note=terminal.note,
                    **how,
                )
        if not (ran or corrupted):
            count = len(chosen.cells) + len(chosen.corrupted)
            terminal.tell(f"nothing to do: all {count} cells are in {root}")
        records = [(cell.id, folder.read_record(cell.id)) for cell in chosen.cells]
        return [name for name, record in records if record and record.status == "failed"], bool(ran or corrupted)


def _read(suite: Path, allowed: "Callable[[Any], None]") -> "Callable[[Any], None]":
    """What is to be done with a suite that was read; of one that lies beside its results files are looked for first."""

    def on_read(document: Any) -> None:
        if (suite.parent / "cells.jsonl").is_file():
            from rbench.results.corrupted_runs import planned_parts
            from rbench.suite.places import find_places

            find_places(document, planned_parts(suite.parent))
        allowed(document)

    return on_read


def _corrupted(
    chosen: "Plan", folder: "RunFolder", redo: str, workers: str, how: dict[str, Any]
) -> "list[CorruptionRecord]":
    """Judges what is missing of the corruptions of a plan; a line for each on stderr."""
    if not chosen.corrupted:
        return []
    from rbench.running.corrupting import pending_corruptions, run_corruptions

    todo = pending_corruptions(chosen.corrupted, folder, redo, terminal.note)
    if not todo:
        return []
    from rbench.allocator import keep_freed_memory
    from rbench.running.pool import workers_for

    keep_freed_memory()
    many = workers_for(workers, how["device"], how["threads"], [cell.probe for cell in todo])
    with followed("corruptions", "rows") as following:
        told = _corruptions_shown(following, len(todo))
        return run_corruptions(todo, folder, workers=many, on_ended=told, on_note=terminal.note, **how)


def _corruptions_shown(following: Following, rows: int) -> "Callable[[CorruptionRecord], None]":
    done = 0
    following.at("corruptions", "", done, rows)

    def on_ended(record: "CorruptionRecord") -> None:
        nonlocal done
        done += 1
        labels = record.cell["labels"]
        names = [labels.get(part) for part in ("backbone", "purifier", "attack")] if isinstance(labels, dict) else []
        title = "/".join(harmless(str(name), NAME) for name in names)
        if record.mean_accuracy is None:
            following.tell(f"[{done}/{rows}] {title}: failed: {harmless(record.error, STORED)}")
        else:
            figures = ", ".join(f"{part.accuracy.value:.1%}" for part in record.severities)
            n, spent = record.dataset.samples, record.cost.seconds
            following.tell(f"[{done}/{rows}] {title}: {figures} of {n} in {spent:.1f} s")
        following.at("corruptions", "", done, rows)

    return on_ended


def _usual(suite: str) -> Path:
    """The run folder of a suite whose user names none; never `results`, which is for what was chosen to be kept."""
    kept = Path("results") / suite
    if (kept / "cells.jsonl").is_file():
        terminal.note(f"{kept} has results and is left alone; --out {kept} goes on with them")
    return Path("runs") / suite


def _require_meant(cells: "Sequence[Cell]", root: Path, redo: str, *, yes: bool) -> None:
    """Refuses what takes very long, unless the user has said that it is meant; before the folder is made."""
    from rbench.results.store import RunFolder
    from rbench.suite.effort import require_meant

    folder = RunFolder(root)
    todo = [cell for cell in cells if redo == "all" or not folder.record_path(cell.id).exists()]
    require_meant(todo, _size, yes=yes)


def _size(cell: "Cell") -> int:
    from rbench.datasets.subset import load_dataset

    return len(load_dataset(cell.dataset.given_name, cell.dataset.given_params))


def _shown(following: Following) -> "Callable[[Progress], None]":
    samples = cells = 0

    def on_progress(step: "Progress") -> None:
        nonlocal samples, cells
        samples += step.samples
        if step.record is None:
            following.at(f"{step.position}/{step.cells}", step.cell.title, samples, step.total)
            return
        cells += 1
        following.tell(ended(step.record, step.position, step.cells))
        following.at(f"{cells} of {step.cells} cells ended", "", samples, step.total)

    return on_progress


def ended(record: "Record", position: int, cells: int) -> str:
    """One line on a cell that has just ended."""
    title = "/".join(harmless(part.label, NAME) for part in (record.backbone, record.purifier, record.attack))
    if record.summary is None:
        return f"[{position}/{cells}] {title}: {record.status}: {harmless(record.error, STORED)}"
    robust, n = record.summary.robust_accuracy.value, record.dataset.samples
    fooling = ", ".join(f"{harmless(rung.label, NAME)} {rung.fooled}" for rung in record.rungs if rung.fooled)
    rungs = f" (fooled by {fooling})" if fooling else ""
    return f"[{position}/{cells}] {title}: robust {robust:.1%} of {n} in {record.cost.seconds:.1f} s{rungs}"
