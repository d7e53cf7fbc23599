"""A name and its parameters, checked against the component, and the component constructed from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_origin

from rbench.elsewhere import located, told
from rbench.registry.component import REFUSALS, Component
from rbench.registry.items import require_item
from rbench.registry.registry import registry
from rbench.signature import Parameter, ParameterError, show
from rbench.signature.version import joined_version


@dataclass(frozen=True)
class Bound:
    """A component with all its arguments, checked and ready to construct.

    Attributes:
        component: what to construct.
        arguments: every argument by name, as it is written; the component gets them with the places of files (`located`).
        in_name: the parameter that the text after the colon of the name filled, if any.
    """

    component: Component
    arguments: dict[str, Any]
    in_name: str | None

    @property
    def located(self) -> dict[str, Any]:
        """The arguments, each path that of where the file is. A word that names one of several things is never taken for a path."""
        if not told().files:
            return dict(self.arguments)
        words = {one.name for one in self.component.signature().parameters if get_origin(one.annotation) is Literal}
        only_listed = self.component.has_hook("items") and not self.component.has_hook("takes")
        if self.in_name is not None and only_listed:
            words.add(self.in_name)
        return {
            name: value if name in words and not isinstance(value, Path) else located(value)
            for name, value in self.arguments.items()
        }

    def make(self) -> Any:
        """Imports and constructs the component."""
        source = self.component.signature().source
        named = self.located
        # The first parameter may be positional-only, so it is always passed by position.
        positional = [named.pop(source.name)] if source is not None else []
        function = self.component.load()
        with self.component.blamed("start", REFUSALS):
            return function(*positional, **named)

    def files(self) -> list[Path]:
        """The files whose bytes decide what it does: of its `files` hook, its `Path` arguments, and the components that it uses."""
        arguments = self.located
        hooked = self.component.call_hook("files", arguments)
        given = [value for value in arguments.values() if isinstance(value, Path)]
        if hooked is not None:
            given = [*map(Path, hooked), *(path for path in given if path.is_file())]
        return list(dict.fromkeys([*given, *(path for used in self.used() for path in used.files())]))

    def used(self) -> list["Bound"]:
        """The registered components that it is made of, besides its own code: those that its `components` hook names."""
        named = self.component.call_hook("components", self.located) or ()
        return [resolved(kind, name, params) for kind, name, params in named]

    def all_used(self) -> list["Bound"]:
        """Those, and what they are made of in turn."""
        return [one for used in self.used() for one in (used, *used.all_used())]

    def version(self) -> str:
        """The hash of what its code and that of the components it uses compute, as 12 hex digits."""
        return joined_version(self.component.source_version, [used.version() for used in self.used()])


def bind(kind: str, name: str, params: Mapping[str, Any], reserved: Sequence[str] = ()) -> Bound:
    """Checks a name and parameters against the component, importing nothing.

    Args:
        kind: `purifier`, `backbone`, ...
        name: its name, with the text after the colon for a source.
        params: the parameters given.
        reserved: keys allowed beside the parameters, which a message may suggest for a mistyped one.

    Raises:
        ParameterError: a parameter is unknown, missing or wrong (`name` if it is the text after the colon).
        InputError: the component is unknown or broken.
    """
    component = registry(kind).get(name)
    base, rest = component.split(name)
    first = component.signature().source
    if not rest:
        if first is not None and (rest is not None or (first.required and first.name not in params)):
            written = " or ".join(component.written_names()[:9])
            raise ParameterError("name", f"{base!r} needs more.", remedy=f"Write {written}.")
        if first is not None and isinstance(item := params.get(first.name), str):
            require_item(component, item)
        return Bound(component, component.signature().validate(params, name, reserved), None)
    if first is not None and first.name in params:
        raise ParameterError(first.name, f"given twice; {name!r} has {show(rest)}.", remedy="Leave one out.")
    first = source_of(component, name)
    arguments = component.signature(rest).validate({first.name: rest, **params}, name, reserved)
    return Bound(component, arguments, first.name)


def source_of(component: Component, name: str) -> Parameter:
    """The parameter that the text after the colon of a name fills, once the text is known to be allowed.

    Args:
        component: of the name.
        name: with a colon.

    Raises:
        ParameterError: it takes no such text, or has no such item; with the nearest.
        MissingError: it needs a module that is not there to say so.
    """
    base, item = component.split(name)
    first = component.signature().source
    if first is None:
        raise ParameterError("name", f"{base!r} takes nothing after a colon.", remedy=f"Write {base}.")
    try:
        first.check(item)
    except ParameterError as error:
        raise ParameterError("name", f"{name}: {error.detail}") from None
    require_item(component, item or "")
    return first


def resolved(kind: str, name: str, params: Mapping[str, Any]) -> Bound:
    """As `bind`, for parameters that are not from a file: errors name the component in place of a line.

    Raises:
        InputError: the component is unknown or broken, or refuses a parameter; names the component.
    """
    try:
        return bind(kind, name, params)
    except ParameterError as error:
        component = f"{registry(kind).kind} {name!r}"
        raise error.at(component, component=component) from None


def load(kind: str, name: str, params: Mapping[str, Any] | None = None) -> Any:
    """Imports and constructs a component.

    Args:
        kind: `purifier`, `backbone`, ...
        name: its name, with the text after the colon for a source.
        params: keyword parameters; defaults are filled in.

    Raises:
        InputError: it is unknown or broken, or refuses its parameters.
        MissingError: it needs a module or file that is not there.
    """
    return resolved(kind, name, params or {}).make()
