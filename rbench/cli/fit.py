"""`rbench fit`: weights of a purifier, head or backbone from a recipe."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rbench.cli import terminal
from rbench.cli.following import followed
from rbench.cli.run import Device
from rbench.cli.terms import Json, Set
from rbench.cli.trusting import Trust, must_be_trusted
from rbench.errors import InputError
from rbench.harmless import NAME, harmless

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
    """What is read and trained, and a line for every epoch that ends."""
    from rbench.fit.loop import Progress
    from rbench.fit.made import Watch

    with followed("loading", "done") as following:

        def reading(done: int, total: int) -> None:
            following.at("data of", name, done, total)

        def training(step: Progress) -> None:
            following.at(f"{step.epoch}/{step.epochs}" if step.epochs > 1 else "", name, step.step, step.total)
            if step.entry is not None:
                following.tell(f"[{step.epoch}/{step.epochs}] {_terms(step.entry)}")

        yield Watch(reading, training)


def _terms(entry: dict[str, object]) -> str:
    terms = {name: value for name, value in entry.items() if isinstance(value, float)}
    held = entry.get("held_out")
    if isinstance(held, dict):
        terms |= {f"held out {name}": value for name, value in held.items() if name != "loss"}
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in terms.items())
