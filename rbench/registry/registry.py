"""The components of one kind by name, from entry points."""

from collections.abc import Callable
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any

from rbench.errors import InputError
from rbench.own_code import PREFIX
from rbench.process_state import NOTES, said
from rbench.registry import registered
from rbench.registry.component import Component, split_name
from rbench.registry.hints import as_own_code, as_own_file
from rbench.registry.own import OWN_KINDS, own_component
from rbench.signature import nearest

KINDS = ("purifier", "backbone", "dataset", "attack", "network", "objective", "reporter")


class Registry:
    """The components of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._components: dict[str, list[Component]] = {}
        for point in _points().get(f"rbench.{kind}s", ()):
            component = _component(kind, point)
            rivals = self._components.setdefault(point.name, [])
            if component not in rivals:
                rivals.append(component)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self._components, *registered.names_here(self.kind)})

    def get(self, name: str) -> Component:
        """The component of a name; of the part before the colon if there is one.

        Raises:
            InputError: unknown (with the nearest names), claimed by two plug-ins, or code of the user's own that is not there.
        """
        base, rest = split_name(name)
        if base == PREFIX and self.kind in OWN_KINDS:
            return own_component(self.kind, rest)
        rivals = self._components.get(base)
        if not rivals:
            if here := registered.registered(self.kind, base):
                return here
            raise self._unknown(name)
        if len(rivals) > 1:
            both = " and ".join(f"{c.distribution} {c.version} ({c.value})" for c in rivals)
            component = f"{self.kind} {base!r}"
            problem = f"{component} is claimed by {both}."
            raise InputError(problem, component=component, remedy="Uninstall one of them.")
        return rivals[0]

    def register(self, name: str, made: Callable[..., Any]) -> None:
        """Makes a class or function of this process a component; see `rbench.register`."""
        if self.kind not in OWN_KINDS:
            kinds = ", ".join(OWN_KINDS)
            raise InputError(
                f"no {self.kind} can be registered.", place="rbench.register", remedy=f"Register one of {kinds}."
            )
        registered.add(self.kind, name, made, self._components)

    def _unknown(self, whole: str) -> InputError:
        name = split_name(whole)[0]
        close = nearest(name, self.names(), count=3)
        names = f"Close: {', '.join(close)}." if close else f"Known: {', '.join(self.names()) or 'none'}."
        code = None if close and ".py" not in whole else as_own_code(self.kind, whole)
        if written := as_own_file(self.kind, whole) or code:
            component = f"{self.kind} {whole!r}"
            return InputError(f"unknown {component}.", component=component, remedy=written)
        component = f"{self.kind} {name!r}"
        return InputError(
            f"unknown {component}.", component=component, remedy=f"{names}        rbench list {self.kind}s"
        )


@cache
def _points() -> dict[str, list[EntryPoint]]:
    """The entry points of rbench's groups, by group.

    Each distribution is read for itself, since a damaged one must not hide the others; of several that have one name the first on the path
    counts, as for imports.
    """
    found: dict[str, list[EntryPoint]] = {}
    seen: set[str] = set()
    for distribution in distributions():
        try:
            name = getattr(distribution, "_normalized_name", None) or distribution.name
            if name in seen:
                continue
            seen.add(name)
            if "rbench." in (distribution.read_text("entry_points.txt") or ""):
                for point in distribution.entry_points:
                    found.setdefault(point.group, []).append(point)
        except Exception as error:
            NOTES.say(f"{_path_of(distribution)}: its entry points cannot be read ({said(error)}); it brings nothing")
    return found


def _path_of(distribution: Distribution) -> object:
    return getattr(distribution, "_path", None) or "a package"


@cache
def _origin(distribution: Distribution | None) -> tuple[str, str, tuple[str, ...]]:
    """Name, version and extras of a distribution, whose metadata may be damaged in any way."""
    if distribution is None:
        return "an unknown package", "?", ()
    try:
        return distribution.name, distribution.version, tuple(distribution.metadata.get_all("Provides-Extra") or ())
    except Exception:  # one broken package must not stop the others
        return "a package with broken metadata", "?", ()


def _component(kind: str, point: EntryPoint) -> Component:
    name, version, extras = _origin(point.dist)
    return Component(kind, point.name, name, version, point.value, extras)


@cache
def registry(kind: str) -> Registry:
    """The registry of a kind, which may be given in the plural.

    Raises:
        InputError: an unknown kind (with the nearest ones).
    """
    singular = kind.removesuffix("s")
    if singular not in KINDS:
        close = nearest(singular, KINDS)
        names = ", ".join(f"{known}s" for known in close or KINDS)
        raise InputError(f"unknown kind {kind!r}.", remedy=f"{'Close' if close else 'Known'}: {names}.")
    return Registry(singular) if kind == singular else registry(singular)
