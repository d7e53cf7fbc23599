"""`rbench theory`: the theorem of CRoPD, measured on the auto-encoders of a suite."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rbench.cli import terminal
from rbench.cli.following import followed
from rbench.cli.run import Device
from rbench.cli.terms import Json, Limit, Set, Suite
from rbench.cli.trusting import Trust, must_be_trusted
from rbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rbench.suite.cell import Cell
    from rbench.theory.run import Progress

Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder for table and figure. [default: runs/SUITE/theory]", show_default=False),
]
Run = Annotated[
    Path | None,
    typer.Option(
        "--run",
        metavar="DIR",
        help="Run folder of the suite, for worst-case robust accuracies. [default: what PGD leaves]",
        show_default=False,
    ),
]
Steps = Annotated[int, typer.Option(min=1, metavar="N", help="PGD steps on either side.")]
Restarts = Annotated[int, typer.Option(min=1, metavar="N", help="Independent starts; the worst counts.")]
Form = Annotated[Literal["infonce", "paper"], typer.Option(help="Form of L_con, for all purifiers.")]
Tau = Annotated[float, typer.Option(metavar="T", help="Temperature of L_con, for all purifiers.")]
Batch = Annotated[int, typer.Option(min=2, metavar="B", help="Images that are each other's negatives.")]


def command(
    suite: Suite,
    set_: Set = None,
    out: Out = None,
    run: Run = None,
    limit: Limit = None,
    steps: Steps = 50,
    restarts: Restarts = 2,
    contrastive: Form = "infonce",
    tau: Tau = 0.5,
    batch: Batch = 128,
    device: Device = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Measure clean and adversarial cross-entropy, L_con and kappa of a suite's auto-encoders; write table and figure."""
    from rbench.suite.load import load_suite
    from rbench.suite.plan import plan

    spec = load_suite(suite, set_ or (), must_be_trusted(suite, trust=trust))
    planned = plan(spec, limit=limit)
    if out is not None and out.exists() and not out.is_dir():
        raise InputError("expected a folder.", place=f"--out: {out}", found="a file")
    if not 0 < tau < float("inf"):
        raise InputError(f"{tau:g} is no temperature", place="--tau", found=f"{tau:g}", remedy="give one above 0")
    # Imported here: torch takes seconds, and a wrong suite has no use for it.
    from rbench.engine.devices import resolve_device
    from rbench.engine.precision import full_float32
    from rbench.results import disk
    from rbench.results.files import write_text, writing
    from rbench.results.output import require_own
    from rbench.results.versions import versions
    from rbench.running.components import Components
    from rbench.theory.correlate import correlations
    from rbench.theory.figure import draw
    from rbench.theory.judged import robust_accuracies
    from rbench.theory.points import Settings
    from rbench.theory.report import points_csv, theory_markdown
    from rbench.theory.run import measure_cells, with_codes

    folder = out or Path("runs") / spec.suite / "theory"
    require_own(folder)
    settings = Settings(steps=steps, restarts=restarts, contrastive=contrastive, tau=tau, batch=batch)
    components = Components(resolve_device(device))
    cells = with_codes(planned.cells, components, terminal.note)
    robust = None if run is None else robust_accuracies(cells, run)
    with writing(folder):
        disk.make_folder(folder)
    with full_float32(), shown() as on_progress:
        points = measure_cells(cells, components, settings, folder / "points.jsonl", on_progress, terminal.note)
    if robust is not None:
        points = [
            replace(point, robust_accuracy=value, robust_from="run")
            for point, value in zip(points, robust, strict=True)
        ]
    related = correlations(points)
    page = theory_markdown(points, related, settings)
    content = {
        "suite": spec.suite,
        "settings": asdict(settings),
        "points": [point.row() for point in points],
        "correlations": [asdict(one) for one in related],
        "components": provenance(cells),
        "versions": versions(),
    }
    write_text(folder / "theory.csv", points_csv(points))
    write_text(folder / "theory.json", json.dumps(content, indent=1) + "\n")
    write_text(folder / "theory.md", page)
    with writing(folder):
        draw(points, related, [folder / "theory.png", folder / "theory.svg"])
    if as_json:
        terminal.document(content)
    else:
        terminal.page(page)


def provenance(cells: "Sequence[Cell]") -> "dict[str, dict[str, Any]]":
    """What the points were measured of, by label: parameters, versions, and the sha256 of every file of weights and data."""
    return {
        "dataset": {cell.dataset.label: cell.dataset.document() for cell in cells},
        "backbones": {cell.backbone.label: cell.backbone.document() for cell in cells},
        "purifiers": {cell.purifier.label: cell.purifier.document() for cell in cells},
    }


@contextmanager
def shown() -> "Iterator[Callable[[Progress], None]]":
    """The point at work."""
    with followed("loading", "images") as following:

        def on_progress(step: "Progress") -> None:
            following.at(f"{step.position}/{step.points}", step.title, step.images, step.total)

        yield on_progress
