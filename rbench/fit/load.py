"""From a recipe file to a checked recipe and its components, or to an error of one line that says what is wrong and where."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rbench.errors import InputError
from rbench.fit.recipe import RECIPES, AnyRecipe
from rbench.signature import nearest, show
from rbench.suite.binding import BoundPart, bound_part
from rbench.suite.cell import Part
from rbench.suite.document import Node, parse, read_text
from rbench.suite.mistakes import first_mistake, require_map
from rbench.suite.model import place_of
from rbench.suite.override import override
from rbench.suite.resolve import part_of
from rbench.suite.spec import PartSpec

_KINDS = {
    "dataset": "dataset",
    "network": "network",
    "objective": "objective",
    "backbone": "backbone",
    "purifier": "purifier",
}


@dataclass(frozen=True)
class BoundRecipe:
    """A recipe and its components.

    Attributes:
        spec: what the file says.
        parts: each component by its field, checked but neither imported nor hashed.
    """

    spec: AnyRecipe
    parts: dict[str, BoundPart]

    def resolved(self) -> dict[str, Part]:
        """The components with their defaults filled in and their files hashed.

        Raises:
            InputError: a file is missing; with the place in the recipe.
        """
        return {field: part_of(self.spec, part) for field, part in self.parts.items()}


def load_recipe(
    path: str | Path, overrides: Sequence[str] = (), on_read: Callable[[Any], object] = lambda document: None
) -> BoundRecipe:
    """Reads, overrides and checks a recipe; imports and hashes nothing.

    Args:
        path: the YAML file.
        overrides: `field.path=value` each, e.g. `training.epochs=1` or `dataset.path=DIR`.
        on_read: called with its maps, lists and scalars before any component is looked up.

    Raises:
        InputError: one line, `file:line:col: field.path: what was found. What to do`.
        MissingError: a component needs a module that is not installed to say what it takes.
    """
    document = parse(read_text(Path(path)), str(path))
    require_map(document, RECIPES["purifier"])
    for text in overrides:
        override(document, text)
    model = RECIPES[_trained(document)]
    try:
        spec = model.model_validate(document.plain(), context={"file": True})
    except ValidationError as error:
        raise first_mistake(document, error, model) from None
    spec.remember(document)
    on_read(document.plain())
    return BoundRecipe(spec, {field: bound_part(spec, kind, part, (field,)) for field, kind, part in _parts(spec)})


def _trained(document: Node) -> str:
    """What the recipe trains, which decides what else it may hold."""
    entries = document.entries or {}
    known = ", ".join(RECIPES)
    if "train" not in entries:
        remedy = f"Say what is trained: {known}."
        raise InputError("missing.", place=place_of(document, ("train",)), remedy=remedy)
    value: Any = entries["train"].plain()
    if not isinstance(value, str) or value not in RECIPES:
        close = nearest(value, RECIPES) if isinstance(value, str) else []
        remedy = f"Did you mean {close[0]!r}?" if close else f"Write one of {known}."
        place, found = place_of(document, ("train",)), show(value)
        raise InputError(f"found {found}.", place=place, found=found, remedy=remedy)
    return value


def _parts(spec: AnyRecipe) -> list[tuple[str, str, PartSpec]]:
    fields = ((field, kind, getattr(spec, field, None)) for field, kind in _KINDS.items())
    return [(field, kind, part) for field, kind, part in fields if isinstance(part, PartSpec)]
