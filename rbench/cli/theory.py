"""`rbench theory`: the seed paper's theorem, measured on the auto-encoders of a suite."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rbench.cli.run import Device
from rbench.cli.terms import Json, Limit, Set, Suite
from rbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rbench.theory.points import Point
    from rbench.theory.run import Progress

Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder for the figures. [default: results/SUITE/theory]", show_default=False),
]
Run = Annotated[
    Path | None,
    typer.Option("--run", metavar="DIR", help="Run folder of the suite, for its worst-case robust accuracies."),
]
Steps = Annotated[int, typer.Option(min=1, metavar="N", help="PGD steps on either side.")]
Restarts = Annotated[int, typer.Option(min=1, metavar="N", help="Independent starts; the worst counts.")]


def command(
    suite: Suite,
    set_: Set = None,
    out: Out = None,
    run: Run = None,
    limit: Limit = None,
    steps: Steps = 50,
    restarts: Restarts = 2,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure clean and adversarial cross-entropy, L_con and kappa of a suite's auto-encoders; write table and figure."""
    from rbench.suite.load import load_suite
    from rbench.suite.plan import plan

    spec = load_suite(suite, set_ or ())
    planned = plan(spec, limit=limit)
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"--out: {out}: found a file, expected a folder.")
    # Imported here: torch takes seconds, and a wrong suite has no use for it.
    from rbench.engine.devices import resolve_device
    from rbench.reports.theory import draw, points_csv, theory_markdown
    from rbench.results import disk
    from rbench.results.files import write_text, writing
    from rbench.results.versions import versions
    from rbench.theory.correlate import correlations
    from rbench.theory.points import Settings
    from rbench.theory.run import measure_suite

    folder = out or Path("results") / spec.suite / "theory"
    with writing(folder):
        disk.make_folder(folder)
    settings = Settings(steps=steps, restarts=restarts)
    place = resolve_device(device)
    with shown() as on_progress:
        points = measure_suite(
            planned.cells,
            settings,
            folder / "points.jsonl",
            place,
            on_progress,
            lambda line: typer.echo(f"note: {line}", err=True),
        )
    if run is not None:
        points = judged(points, run)
    found = correlations(points)
    page = theory_markdown(points, found, settings)
    content = {
        "suite": spec.suite,
        "settings": asdict(settings),
        "points": [point.row() for point in points],
        "correlations": [asdict(one) for one in found],
        "versions": versions(),
    }
    write_text(folder / "theory.csv", points_csv(points))
    write_text(folder / "theory.json", json.dumps(content, indent=1) + "\n")
    write_text(folder / "theory.md", page)
    with writing(folder):
        draw(points, found, [folder / "theory.png", folder / "theory.svg"])
    typer.echo(json.dumps(content) if as_json else page, nl=as_json)


def judged(points: "Sequence[Point]", folder: Path) -> "list[Point]":
    """The points with the worst-case robust accuracies of a finished run.

    Raises:
        InputError: the run has no row for one of them.
    """
    from rbench.results.read import read

    frame = read(folder).leaderboard
    found = []
    for point in points:
        same = (frame["purifier"] == point.purifier) & (frame["backbone"] == point.backbone)
        rows = frame[same & ((frame["eps"] - point.radius).abs() < 1e-9) & frame["robust_accuracy"].notna()]
        if len(rows) != 1:
            raise InputError(
                f"--run: {folder}: {len(rows)} rows for {point.backbone}/{point.purifier} at eps {point.eps}, expected one; run the suite"
            )
        found.append(replace(point, robust_accuracy=float(rows["robust_accuracy"].iloc[0]), robust_from="run"))
    return found


@contextmanager
def shown() -> "Iterator[Callable[[Progress], None]]":
    """A bar with the time left on a terminal, on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=16), MofNCompleteColumn())
    with Bars(*columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("loading", total=None)
        yield lambda step: bars.update(
            task, description=f"{step.position}/{step.points} {step.title}", completed=step.images, total=step.total
        )
