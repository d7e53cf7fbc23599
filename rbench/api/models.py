"""What callers give as backbone, purifier and stand-in, as torch modules: names, maps of a suite, functions, modules."""

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from rbench.errors import InputError, RbenchError
from rbench.running.components import make
from rbench.suite.binding import bound_part
from rbench.suite.cell import Part
from rbench.suite.mistakes import argument_mistake
from rbench.suite.model import FileModel
from rbench.suite.resolve import part_of
from rbench.suite.spec import BackboneSpec, PartSpec, PurifierSpec

Given: TypeAlias = nn.Module | Callable[..., Tensor] | str | Mapping[str, Any]
"""A module, a function, a registry name, or the map that a suite has in its place."""

S = TypeVar("S", bound=PartSpec)

_NUMBERS = itertools.count(1)
_OBJECTS: WeakKeyDictionary[object, int] = WeakKeyDictionary()
"""A number for each object that was judged: two objects are two models, whatever they are called."""


@dataclass(frozen=True)
class Model:
    """A model of the caller.

    Attributes:
        module: the module.
        part: what a cell says of it.
    """

    module: nn.Module
    part: Part


class Function(nn.Module):
    """A function as a module; modules that it holds (in its closure, arguments or globals) are parts of it."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function
        self.held = nn.ModuleList({id(one): one for one in _held(function)}.values())

    def forward(self, x: Tensor) -> Tensor:
        """What the function makes of it."""
        return self.function(x)


class Drawing(Function):
    """A function that takes `noise`."""

    def forward(self, x: Tensor, *, noise: Any) -> Tensor:  # type: ignore[override]
        """What the function makes of it."""
        return self.function(x, noise=noise)


def model_of(argument: str, given: Given, label: str | None = None) -> Model:
    """What a caller gave, as a module that can be judged.

    Args:
        argument: its name: `backbone`, `purifier` or `stand_in`.
        given: the object.
        label: what tables call it; its name if None.

    Raises:
        InputError: it is none of these, or cannot be judged; names the argument.
        MissingError: it needs a module or file that is not there.
    """
    if isinstance(given, str | Mapping):
        return _named(argument, given, label)
    module = given
    if not isinstance(given, nn.Module):
        if not callable(given) or isinstance(given, type):
            found = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
            remedy = "Make one of it, with ()." if isinstance(given, type) else "Give a name, or a function of images."
            raise InputError("expected a torch.nn.Module.", place=argument, found=found, remedy=remedy)
        module = Drawing(given) if "noise" in _arguments(given) else Function(given)
    assert isinstance(module, nn.Module)
    _refuse_odd(argument, module)
    name = getattr(given, "__name__", type(given).__name__)
    name = "function" if name == "<lambda>" else name
    return Model(module, object_part(name, given, label))


def object_part(name: str, given: object, label: str | None = None) -> Part:
    """What a cell says of an object of the caller's.

    Args:
        name: of its class or of the function.
        given: the object, which has a number of its own.
        label: what tables call it; its name if None.
    """
    try:
        number = _OBJECTS.setdefault(given, next(_NUMBERS))
    except TypeError:  # nothing refers to it weakly, or it has no hash
        number = next(_NUMBERS)
    return Part(name, {}, "", {}, label or name, f"object+{number}", {})


def _named(argument: str, given: str | Mapping[str, Any], label: str | None) -> Model:
    kind = "backbone" if argument == "backbone" else "purifier"
    spec = part_spec(BackboneSpec if kind == "backbone" else PurifierSpec, given, argument)
    if label is not None:
        spec = spec.model_copy(update={"label": label})
    try:
        part = part_of(FileModel(), bound_part(FileModel(), kind, spec, (argument,)))
        module = make(kind, part.given_name, part.given_params)
    except RbenchError as error:
        place = str(error.place or "")
        if isinstance(given, str) and place == f"{argument}.name":  # the caller wrote no map
            error.place = argument
        raise (error if place.startswith(argument) else error.at(argument)) from error
    if not isinstance(module, nn.Module):
        found = type(module).__name__
        raise InputError(f"{kind} {spec.name!r} is no torch.nn.Module.", place=argument, found=found)
    return Model(module, part)


def part_spec(kind: type[S], given: str | Mapping[str, Any], place: str) -> S:
    """A name, or the map that a suite has in its place, checked.

    Args:
        kind: of the part.
        given: what the caller wrote.
        place: where, for errors.

    Raises:
        InputError: a key or value is wrong.
    """
    document = given if isinstance(given, str) else dict(given)
    try:
        spec = kind.model_validate(document, context={"file": True})
    except ValidationError as error:
        raise within(place, argument_mistake(error, kind)) from None  # type: ignore[arg-type]
    if getattr(spec, "purifiers", None) is not None:
        raise InputError("there is one purifier.", place=f"{place}.purifiers", remedy="Leave it out.")
    return spec


def within(place: str, error: InputError) -> InputError:
    """An error about an entry of a map, with the place of the map before its own.

    Args:
        place: of the map.
        error: about the entry.
    """
    error.place = f"{place}.{error.place}" if error.place else place
    return error


def _refuse_odd(argument: str, module: nn.Module) -> None:
    found = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        # Its methods are made when they are first asked for, so that nobody can tell whether they were patched.
        remedy = "Give the module that it was made from."
        raise InputError("a scripted module cannot be watched.", place=argument, found=found, remedy=remedy)
    if any(map(is_lazy, module.parameters())):
        remedy = "Ask it for one image first."
        raise InputError("has parameters without a shape yet.", place=argument, found=found, remedy=remedy)


def _arguments(function: Callable[..., Tensor]) -> Mapping[str, object]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def _held(function: object) -> Iterator[nn.Module]:
    """The modules that a function can reach by itself."""
    values: list[object]
    if isinstance(function, functools.partial):
        values = [function.func, *function.args, *function.keywords.values()]
    elif inspect.ismethod(function):
        values = [function.__self__, function.__func__]
    elif inspect.isfunction(function):
        bound = inspect.getclosurevars(function)
        values = [*bound.nonlocals.values(), *bound.globals.values(), *(function.__defaults__ or ())]
    else:
        values = list(vars(function).values()) if hasattr(function, "__dict__") else []
    for value in values:
        if isinstance(value, nn.Module):
            yield value
        elif isinstance(value, functools.partial) or inspect.ismethod(value):
            yield from _held(value)
        elif isinstance(value, list | tuple):
            yield from (one for one in value if isinstance(one, nn.Module))
