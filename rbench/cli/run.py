"""`rbench run`: what is missing of a suite, then its leaderboard."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rbench.cli import terminal
from rbench.cli.terms import Json, Limit, Only, Set, Suite, Workers
from rbench.errors import InputError
from rbench.harmless import NAME, STORED, harmless

if TYPE_CHECKING:
    from collections.abc import Callable

    from rbench.results.record import Record
    from rbench.running.progress import Progress

Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Run folder. [default: results/SUITE]", show_default=False)
]
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
Threads = Annotated[int, typer.Option(min=1, metavar="N", help="Threads of each process on the CPU.")]


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
    executor: Executor = "local",
    ray_address: RayAddress = "local",
    as_json: Json = False,
) -> None:
    """Run what is missing of a suite, print the leaderboard and write it beside the results."""
    from rbench.cli.report import command as report
    from rbench.running.batch_sizes import batch_size_of
    from rbench.running.resume import doubted, open_run, pending
    from rbench.suite.load import load_suite
    from rbench.suite.plan import plan

    size = batch_size_of(batch_size)
    spec = load_suite(suite, set_ or ())
    whole = plan(spec, limit=limit)
    chosen = whole if only is None else plan(spec, only=only, limit=limit)
    root = out or Path("results") / spec.suite
    if root.exists() and not root.is_dir():
        raise InputError("expected a folder.", place=f"--out: {root}", found="a file")
    with open_run(whole, root, suite) as folder:
        todo = pending(chosen.cells, folder, redo)
        unsure, ran = doubted(chosen.cells, todo), []
        if todo or unsure:
            # Imported here: torch takes seconds, and a finished suite has no use for it.
            from rbench.allocator import keep_freed_memory
            from rbench.running.pool import workers_for
            from rbench.running.runner import run

            keep_freed_memory()
            with shown() as on_progress:
                ran = run(
                    todo,
                    folder,
                    doubted=unsure,
                    images=spec.store.images,
                    device=device,
                    batch_size=size,
                    workers=workers_for(workers, device, threads, [*todo, *unsure]),
                    threads=threads,
                    ray_address=ray_address if executor == "ray" else None,
                    on_progress=on_progress,
                    on_note=terminal.note,
                )
        if not ran:
            terminal.tell(f"nothing to do: all {len(chosen.cells)} cells are in {root}")
        failed = [
            cell for cell in chosen.cells if (record := folder.read_record(cell.id)) and record.status == "failed"
        ]
    if failed:
        terminal.tell(f"{len(failed)} of {len(chosen.cells)} cells failed; --redo failed runs them again")
    report([root], to="md,csv,html", as_json=as_json)
    if failed:
        raise typer.Exit(1)


@contextmanager
def shown() -> "Iterator[Callable[[Progress], None]]":
    """A bar with the time left on a terminal, and a line for every cell that ends, both on stderr."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = terminal.progress()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=16), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=False))
    with Bars(*columns, *times, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("loading", total=None)

        def on_progress(step: "Progress") -> None:
            title = f"{step.position}/{step.cells} {short(step.cell.title, 24)}"
            bars.update(task, description=title, total=step.total)
            bars.advance(task, step.samples)
            if step.record is not None:
                line = ended(step.record, step.position, step.cells)
                console.print(line, markup=False, soft_wrap=not console.is_terminal)

        yield on_progress


def ended(record: "Record", position: int, cells: int) -> str:
    """One line on a cell that has just ended."""
    title = "/".join(harmless(part.label, NAME) for part in (record.backbone, record.purifier, record.attack))
    if record.summary is None:
        return f"[{position}/{cells}] {title}: {record.status}: {harmless(record.error, STORED)}"
    robust, n = record.summary.robust_accuracy.value, record.dataset.samples
    fooling = ", ".join(f"{harmless(rung.label, NAME)} {rung.fooled}" for rung in record.rungs if rung.fooled)
    rungs = f" (fooled by {fooling})" if fooling else ""
    return f"[{position}/{cells}] {title}: robust {robust:.1%} of {n} in {record.cost.seconds:.1f} s{rungs}"


def short(text: str, width: int) -> str:
    """The text, or its end if it is too long, which tells cells apart better than its start."""
    plain = harmless(text)
    return plain if len(plain) <= width else f"...{plain[-(width - 3) :]}"
