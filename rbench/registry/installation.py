"""What of rbench is installed: its requirements and extras by the metadata of packages, and plug-ins, of which the broken are told."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata

from rbench.errors import RbenchError
from rbench.harmless import STORED, one_line
from rbench.process_state import said, users_own
from rbench.registry.registry import KINDS, registry

_REQUIREMENT = re.compile(r"\s*([\w.-]+)\s*(?:\[([^\]]*)\])?\s*\(?([^;)]*)\)?\s*(?:;(.*))?", re.DOTALL)
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")
OWN, ALL = "rbench", "all"
APART = {"torchattacks": "it pins requests 2.25", "robustbench": "it pins timm 1.0.9"}
"""Extras that cannot live beside the others in versions of today, and why."""


@dataclass(frozen=True)
class Package:
    """One requirement.

    Attributes:
        name: of the distribution.
        wanted: the versions that are allowed, e.g. `>=2.10`; empty for any.
        version: that is installed; None if there is none.
        allowed: whether that is one of them; true where it cannot be told.
    """

    name: str
    wanted: str
    version: str | None
    allowed: bool

    @property
    def there(self) -> bool:
        """Whether it is installed in a version that is allowed."""
        return self.version is not None and self.allowed


@dataclass(frozen=True)
class Extra:
    """An optional part of rbench.

    Attributes:
        name: `diffusion`.
        packages: what it needs.
        in_all: whether `rbench[all]` has it.
    """

    name: str
    packages: tuple[Package, ...]
    in_all: bool

    @property
    def there(self) -> bool:
        """Whether all that it needs is installed."""
        return all(package.there for package in self.packages)

    @property
    def apart(self) -> str | None:
        """Why it wants an environment of its own; None if it does not."""
        return APART.get(self.name)

    @property
    def line(self) -> str:
        """What installs it."""
        return f"pip install '{OWN}[{self.name}]'"


@dataclass(frozen=True)
class PlugIn:
    """A component that another distribution brings.

    Attributes:
        kind: `purifier`, ...
        name: of the component.
        origin: distribution and version.
        broken: why it cannot be used; None if it can.
    """

    kind: str
    name: str
    origin: str
    broken: str | None


@dataclass(frozen=True)
class _Need:
    name: str
    parts: tuple[str, ...]
    wanted: str
    extra: str | None
    applies: bool


def requirements() -> tuple[tuple[Package, ...], tuple[Extra, ...]] | None:
    """What rbench cannot do without, and its extras but for those that only gather others; None if rbench itself is not installed."""
    try:
        needs = [need for need in map(_need, metadata.requires(OWN) or ()) if need.applies]
    except metadata.PackageNotFoundError:
        return None
    core = tuple(_package(need) for need in needs if need.extra is None)
    extras = dict[str, list[_Need]]()
    for need in needs:
        if need.extra is not None:
            extras.setdefault(need.extra, []).append(need)
    gathered = _names(extras.get(ALL, ()))
    return core, tuple(
        Extra(name, tuple(map(_package, of)), name in gathered or _names(of) <= gathered)
        for name, of in sorted(extras.items())
        if name != ALL and OWN not in _names(of) and not (gathered and _names(of) > gathered)
    )


def _names(needs: Iterable[_Need]) -> set[str]:
    """The packages that are asked for, and the extras of rbench, which some builders write out as their packages."""
    return {name for need in needs for name in (need.name, *(need.parts if need.name == OWN else ()))}


def _need(text: str) -> _Need:
    found = _REQUIREMENT.match(text)
    assert found is not None  # every text has a beginning; packages with another one have no name
    name, parts, wanted, marker = found.groups(default="")
    extra = _EXTRA.search(marker)
    listed = tuple(part.strip() for part in parts.split(",") if part.strip())
    own = extra[1] if extra else None
    return _Need(name, listed, wanted.strip(), own, _applies(marker, own))


def _applies(marker: str, extra: str | None) -> bool:
    """Whether a requirement is one on this Python and system; true where nobody can tell."""
    try:
        from packaging.markers import Marker
    except ModuleNotFoundError:  # it comes with matplotlib, which may be what is missing
        return True
    return not marker.strip() or Marker(marker).evaluate({"extra": extra or ""})


def _package(need: _Need) -> Package:
    try:
        version = metadata.version(need.name)
    except metadata.PackageNotFoundError:
        return Package(need.name, need.wanted, None, allowed=False)
    return Package(need.name, need.wanted, version, _allowed(version, need.wanted))


def _allowed(version: str, wanted: str) -> bool:
    """Whether a version is one of those wanted; true where nobody can tell."""
    try:
        from packaging.specifiers import SpecifierSet
    except ModuleNotFoundError:  # it comes with matplotlib, which may be what is missing
        return True
    try:
        return SpecifierSet(wanted).contains(version, prereleases=True)
    except Exception:  # a version of somebody's own making
        return True


def plug_ins() -> list[PlugIn]:
    """All components of other distributions, each imported once; and names that two of them claim."""
    return [found for kind in KINDS for name in registry(kind).names() for found in _plug_in(kind, name)]


def _plug_in(kind: str, name: str) -> Iterator[PlugIn]:
    try:
        component = registry(kind).get(name)
    except RbenchError as error:
        yield PlugIn(kind, name, "two packages", one_line(error, STORED))
        return
    if component.distribution != OWN:
        yield PlugIn(kind, name, f"{component.distribution} {component.version}", _broken(component.load))


def _broken(load: Callable[[], object]) -> str | None:
    try:
        load()
    except RbenchError as error:
        return one_line(error, STORED)
    except BaseException as error:
        if users_own(error):
            raise
        return said(error)
    return None
