"""`rbench fit`: weights of a purifier, head or backbone from a recipe."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rbench.cli import terminal
from rbench.cli.run import Device, short
from rbench.cli.terms import Json, Set
from rbench.cli.trusting import Trust, must_be_trusted
from rbench.errors import InputError
from rbench.harmless import LINE, NAME, harmless

if TYPE_CHECKING:
    from rbench.fit.made import Watch

Recipe = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe file (YAML).", show_default=False)]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder for the weights and their card.")]


def command(
    recipe: Recipe,
    set_: Set = None,
    out: Out = Path("weights"),
    device: Device = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Train a purifier, a head or a reference backbone; write its weights and their provenance card."""
    from rbench.fit.load import load_recipe

    bound = load_recipe(recipe, set_ or (), must_be_trusted(recipe, trust=trust))
    if out.exists() and not out.is_dir():
        raise InputError("expected a folder.", place=f"--out: {out}", found="a file")
    from rbench.fit.run import fit  # imported here: torch takes seconds, and a wrong recipe has no use for it

    with shown(bound.spec.recipe) as watch:
        fitted = fit(bound, out, device=device, watch=watch)
    if as_json:
        terminal.written(fitted.card.model_dump_json())
        return
    if not fitted.fresh:
        terminal.tell(f"nothing to do: {fitted.weights} was made by this recipe")
    weights = fitted.card.weights
    terminal.say(
        f"{harmless(fitted.weights)}: {weights.parameters:,} parameters, {weights.bytes:,} bytes, {fitted.card.seconds:.0f} s"
    )
    for name, value in fitted.card.metrics.items():
        terminal.say(f"  {harmless(name, NAME).replace('_', ' ').replace('held out.', 'held out: ')} {value:.4g}")


@contextmanager
def shown(name: str) -> "Iterator[Watch]":
    """A bar with the time left on a terminal, and a line for every epoch that ends, both on stderr."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    from rbench.fit.loop import Progress
    from rbench.fit.made import Watch

    console = terminal.progress()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=16), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=False))
    with Bars(*columns, *times, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("loading", total=None)

        def reading(done: int, total: int) -> None:
            bars.update(task, description=f"{short(name, 24)} data", completed=done, total=total)

        def training(step: Progress) -> None:
            title = f"{short(name, 24)} {step.epoch}/{step.epochs}" if step.epochs > 1 else short(name, 24)
            bars.update(task, description=title, completed=step.step, total=step.total)
            if step.entry is not None:
                line = f"[{step.epoch}/{step.epochs}] {_terms(step.entry)}"
                console.print(harmless(line, LINE), markup=False, soft_wrap=not console.is_terminal)

        yield Watch(reading, training)


def _terms(entry: dict[str, object]) -> str:
    terms = {name: value for name, value in entry.items() if isinstance(value, float)}
    held = entry.get("held_out")
    if isinstance(held, dict):
        terms |= {f"held out {name}": value for name, value in held.items() if name != "loss"}
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in terms.items())
