"""An attack by its registry name, held to what every attack says of itself before anything runs."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from rbench.errors import InputError
from rbench.harmless import NAME, harmless
from rbench.registry import load, registry
from rbench.threat.attack import Asks, Attack, ExternalAttack, IterativeAttack
from rbench.threat.ladder import Ladder
from rbench.threat.terms import Displacement, GradientChoice, Knows, Loss, Norm, Targeted

MAX_COUNT = 10**9
_OBJECTIVES = (*get_args(Loss), *get_args(Targeted), *get_args(Displacement))
_FUNCTIONS = {
    IterativeAttack: ("init", "update", "inside"),
    ExternalAttack: ("perturb", "said"),
    Ladder: ("rungs", "said"),
}
_COUNTS = {IterativeAttack: ("steps", "restarts"), ExternalAttack: ("batch_size",), Ladder: ("batch_size",)}

Kind = type[IterativeAttack] | type[ExternalAttack] | type[Ladder]
Held = tuple[str, Callable[[Any], bool], str]
"""A field, whether its value is allowed, and what is."""


def load_attack(name: str, params: Mapping[str, Any] | None = None) -> Attack:
    """An attack by its registry name.

    Args:
        name: with the item after a colon for a source.
        params: its parameters.

    Raises:
        InputError: it is unknown, refuses its parameters, or is no attack; names the field that is wrong.
        MissingError: it needs a module or file that is not there.
    """
    made: Attack = load("attack", name, params)
    return held(made, name)


def held(made: Any, name: str) -> Attack:
    """The attack itself, if it is one.

    Args:
        made: what a component returned.
        name: of the component.

    Raises:
        InputError: it is of another type, or a field of it has a value that no attack can have.
    """
    component = f"attack {name!r}"
    kind = next((one for one in _FUNCTIONS if isinstance(made, one)), None)
    if kind is None:
        raise InputError(
            f"{component}{_brought(name)} makes no attack: expected an IterativeAttack, an ExternalAttack or a Ladder.",
            component=component,
            found=type(made).__name__,
            remedy="Return one of them from the function of the entry point.",
        )
    for field, allowed, wanted in _fields(kind):
        value = getattr(made, field)
        if not allowed(value):
            problem = f"{component}{_brought(name)}: {field}: expected {wanted}"
            raise InputError(problem, component=component, place=field, found=harmless(repr(value), NAME))
    attack: Attack = made
    return attack


def _brought(name: str) -> str:
    """Who brings it, where that is not rbench."""
    code = registry("attack").get(name)
    return "" if code.distribution == "rbench" else f" ({code.distribution} {code.version})"


def _fields(kind: Kind) -> Iterator[Held]:
    for name in _FUNCTIONS[kind]:
        yield name, callable, "a function"
    for name in _COUNTS[kind]:
        least = 0 if name == "steps" else 1  # the first point of an attack may be its last
        yield name, _is_count(least), f"a number from {least} to {MAX_COUNT:,}"
    yield "norms", _some_of(get_args(Norm)), f"a tuple of {', '.join(get_args(Norm))}"
    yield "gradients", _some_of(get_args(GradientChoice)), f"a tuple of {', '.join(get_args(GradientChoice))}"
    yield "knows", _one_of(get_args(Knows)), f"one of {', '.join(get_args(Knows))}"
    if kind is IterativeAttack:
        yield "asks", _some_of(get_args(Asks)), f"a tuple of {', '.join(get_args(Asks))}"
        yield "loss", _one_of(_OBJECTIVES), f"one of {', '.join(_OBJECTIVES)}"
        yield "targets", _is_count(0), "0, or a number of classes"
        yield "source", lambda value: value is None or isinstance(value, str), "the name of a backbone, or None"
        yield "changes", lambda value: isinstance(value, Mapping), "a map of texts"
        yield "first", lambda value: value is None or callable(value), "a function, or None"


def _is_count(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_COUNT


def _one_of(words: tuple[str, ...]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in words


def _some_of(words: tuple[str, ...]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, tuple) and bool(value) and all(_one_of(words)(one) for one in value)
