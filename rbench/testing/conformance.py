"""The conformance kit: whether a component keeps to what rbench expects of its kind, before a suite names it."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rbench.errors import InputError
from rbench.registry import registry
from rbench.testing.subject import MOST_IMAGES, Shape, Subject, shape_of
from rbench.testing.verdict import Conformance, Verdict

if TYPE_CHECKING:
    from rbench.registry import Component

KINDS = {
    "purifier": "purifiers",
    "backbone": "backbones",
    "attack": "attacks",
    "dataset": "datasets",
    "reporter": "reporters",
}
"""Kinds of components that are checked, and the module that does it."""
IMAGES = 8


def check_named(
    kind: str, name: str, params: Mapping[str, Any] | None = None, *, images: int = IMAGES, shape: str | None = None
) -> Conformance:
    """Checks a registered component.

    Args:
        kind: `purifier`, `backbone`, `attack`, `dataset` or `reporter`.
        name: registry name, with the item after a colon for a source.
        params: its parameters.
        images: how many it is asked about, 2 to 64.
        shape: of the images, such as `3x32x32`; the first usual one that it takes if not given.

    Raises:
        InputError: it is unknown or broken, refuses its parameters, or is of another kind.
        MissingError: it needs a module or file that is not there.
    """
    component = registry(_kind(kind)).get(name)
    given = dict(params or {})
    if component.kind == "reporter":
        made: Any = component.load()
    else:
        from rbench.running.components import make

        made = make(component.kind, name, given)
    return _checked(
        Subject(
            component.kind,
            name,
            made,
            declared=_declared(component, made),
            remake=_remaking(component, name, given),
            parameters=frozenset(known.name for known in component.signature(component.split(name)[1]).parameters),
            images=_images(images),
            shape=_shape(shape),
        ),
        f"{component.distribution} {component.version}",
    )


def check_made(kind: str, made: Any, *, images: int = IMAGES, shape: str | None = None) -> Conformance:
    """Checks a component that is there already: a module, an attack, a data set, or the function that is a reporter.

    Args:
        kind: as of `check_named`.
        made: the component.
        images: as of `check_named`.
        shape: as of `check_named`.

    Raises:
        InputError: the kind is another one.
    """
    name = getattr(made, "__name__", type(made).__name__)
    subject = Subject(_kind(kind), name, made, _declared(None, made), images=_images(images), shape=_shape(shape))
    return _checked(subject, "as it was handed over")


def _checked(subject: Subject, origin: str) -> Conformance:
    examine: Callable[[Subject], tuple[str, list[Verdict]]]
    examine = import_module(f"rbench.testing.{KINDS[subject.kind]}").examine
    shown, verdicts = examine(subject)
    return Conformance(subject.kind, subject.name, origin, shown, tuple(verdicts))


def _kind(kind: str) -> str:
    singular = registry(kind).kind
    if singular not in KINDS:
        remedy = f"It checks {', '.join(f'{known}s' for known in KINDS)}."
        raise InputError(f"there is no conformance check of a {singular}.", place="check", found=kind, remedy=remedy)
    return singular


def _images(count: int) -> int:
    if not 2 <= count <= MOST_IMAGES:
        raise InputError(f"expected a number from 2 to {MOST_IMAGES}.", place="--images", found=str(count))
    return count


def _shape(text: str | None) -> Shape | None:
    return None if text is None else shape_of(text)


def _remaking(component: "Component", name: str, given: dict[str, Any]) -> Callable[[Mapping[str, Any]], Any] | None:
    if component.kind == "reporter":
        return None
    from rbench.running.components import make

    return lambda changes: make(component.kind, name, {**given, **changes})


def _declared(component: "Component | None", made: Any) -> dict[str, Any]:
    """What is said of it, by its class or beside its function; the object that was made knows best."""
    facts = {} if component is None else {name.lower(): value for name, value in component.facts().items()}
    own = {name: getattr(made, name) for name in ("stochastic", "differentiable") if hasattr(made, name)}
    return {**facts, **own}
