"""Components of this process alone: `rbench.register("purifier", "mine", SmallUNet)`, also of a class that stands in a notebook."""

import inspect
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rbench.errors import InputError
from rbench.own_code import PREFIX, known
from rbench.registry.component import Component
from rbench.registry.own import BROUGHT, without_item
from rbench.signature import Signature
from rbench.signature.in_memory import object_version

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_HERE: dict[tuple[str, str], "Registered"] = {}


def _nothing() -> None: ...


@dataclass(frozen=True)
class Registered(Component):
    """A class or function that this process has in memory.

    Attributes:
        made: the class or function.
    """

    made: Callable[..., Any] = field(default=_nothing, compare=False)

    def load(self) -> Callable[..., Any]:
        """The class or function itself."""
        return self.made

    def facts(self) -> dict[str, Any]:
        """Literal class attributes, or for a function the constants of its module."""
        return self._facts_of(self.made)

    @cached_property
    def doc(self) -> str:
        """The docstring, possibly empty."""
        return inspect.cleandoc(self.made.__doc__ or "")

    @cached_property
    def source_version(self) -> str:
        """The hash of its source, and of what this uses; another one in each process where the source cannot be had."""
        return object_version(self.made) or f"unknown-{secrets.token_hex(3)}"

    def hook(self, name: str) -> Callable[..., Any] | None:
        """A function of this name beside it in its module; none of a notebook, whose names stand for anything."""
        module = getattr(self.made, "__module__", None)
        function = None if module == "__main__" else getattr(sys.modules.get(module or ""), name, None)
        return function if inspect.isfunction(function) else None

    def _signature(self, rest: str | None) -> Signature:  # noqa: ARG002 - no name of it has an item
        with self.blamed("describe itself"):
            return without_item(Signature.of(self.made))


def add(kind: str, name: str, made: Callable[..., Any], taken: Mapping[str, Any]) -> None:
    """Makes a class or function a component of this process, in the place of what was registered under the name before.

    Args:
        kind: of the component.
        name: small letters, digits, `.`, `_`, `-`.
        made: the class or function.
        taken: names that packages bring.

    Raises:
        InputError: the name is none or is taken, or `made` is neither class nor function.
    """
    component = f"{kind} {name!r}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        remedy = "Write small letters, digits, '.', '_' and '-'."
        raise InputError(f"{name!r} is no name.", component=component, place="rbench.register", remedy=remedy)
    if name in taken or name == PREFIX:
        problem, remedy = f"{component} is there already.", "Take another name."
        raise InputError(problem, component=component, place="rbench.register", remedy=remedy)
    if not (inspect.isclass(made) or inspect.isroutine(made)):
        problem, found = "expected a class, or a function that makes one of its objects.", f"a {type(made).__name__}"
        raise InputError(problem, component=component, place=f"rbench.register: {component}", found=found)
    value = f"{made.__module__}:{made.__qualname__}"
    _HERE[kind, name] = Registered(kind, name, "this process", BROUGHT, value, made=made)
    known().registered.add((kind, name))


def names_here(kind: str) -> list[str]:
    """What this process has registered of a kind."""
    return [name for of, name in _HERE if of == kind]


def registered(kind: str, name: str) -> Registered | None:
    """A component of this process; None if there is none of this name.

    Raises:
        InputError: the process that began this one has it.
    """
    found = _HERE.get((kind, name))
    if found is None and (kind, name) in known().registered:
        component = f"{kind} {name!r}"
        problem = (
            f"{component} was registered in another process, and worker processes have no part of that one's memory."
        )
        remedy = f"Put it into a file and write {PREFIX}:FILE.py:NAME, or run with --workers 0."
        raise InputError(problem, component=component, remedy=remedy)
    return found


def forget() -> None:
    """Forgets all of them."""
    _HERE.clear()
