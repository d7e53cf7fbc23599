"""What a process knows of code of the user's own, which no package brings: where imports find it, and what of it may run.

Nothing here reads or runs any of it. Whoever begins a process hands `known()` to it, and that process takes it.
"""

import hashlib
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from itertools import chain
from pathlib import Path
from types import CodeType
from typing import Any

PREFIX = "python"
"""What names of such code begin with, before the colon."""


@dataclass
class Known:
    """What one process hands to another.

    Attributes:
        files: by the name of a module, the file that it is the text of.
        folders: whose modules are found beside those that are installed.
        trusted: by what a suite writes after `python:`, the version of the code that may run.
        registered: kind and name of what only the process that began this one has.
    """

    files: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    trusted: dict[str, str] = field(default_factory=dict)
    registered: set[tuple[str, str]] = field(default_factory=set)


_KNOWN = Known()


def known() -> Known:
    """All that this process knows."""
    return _KNOWN


def take(told: Known) -> None:
    """Makes it what this process knows too."""
    _KNOWN.files.update(told.files)
    _KNOWN.folders += [folder for folder in told.folders if folder not in _KNOWN.folders]
    _KNOWN.trusted.update(told.trusted)
    _KNOWN.registered.update(told.registered)
    if _KNOWN.folders:
        _install()


def forget() -> None:
    """Makes this process know nothing, as when it began."""
    for part in vars(_KNOWN).values():
        part.clear()


def add_file(file: Path, content: bytes) -> str:
    """The name under which a file is imported: another one for another text, so that a changed file is never taken for what it was.

    Args:
        file: absolute, links followed. The folder that it lies in counts as that of a script does: its modules are found too.
        content: its bytes.
    """
    name = _name(file, content)
    _KNOWN.files[name] = str(file)
    add_folder(file.parent)
    return name


def _name(file: Path, content: bytes) -> str:
    state = hashlib.sha256(f"{file}\0".encode(errors="surrogateescape") + content).hexdigest()[:12]
    return f"{re.sub(r'[^0-9A-Za-z_]', '_', file.stem)}_{state}"


def add_folder(folder: Path) -> None:
    """Lets imports find the modules of a folder.

    Args:
        folder: absolute, links followed.
    """
    if str(folder) not in _KNOWN.folders:
        _KNOWN.folders.append(str(folder))
    _install()


def trust(versions: Mapping[str, str]) -> None:
    """Lets code run, as it is now.

    Args:
        versions: by what a suite writes after `python:`, the version of the code.
    """
    _KNOWN.trusted.update(versions)


def loaded() -> list[str]:
    """The modules of this process that are code of the user's own."""
    found = [(name, getattr(module, "__spec__", None)) for name, module in list(sys.modules.items())]
    return [name for name, spec in found if isinstance(getattr(spec, "loader", None), _Text)]


class _Text(SourceFileLoader):
    """Runs the text of a file, which its user has read; compiled code that lies beside it may be of another one."""

    def get_code(self, fullname: str) -> CodeType:
        """The code of the text."""
        content = self.get_data(self.path)
        if fullname in _KNOWN.files and fullname != _name(Path(self.path), content):
            raise ImportError(f"{Path(self.path).name} has changed since it was read")
        return self.source_to_code(content, self.path)


class _Modules:
    """Finds modules of the user before installed ones, as Python does for a script; never in the place of Python's own or of rbench."""

    @staticmethod
    def find_spec(name: str, path: Iterable[str] | None = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG004
        """Called by Python's imports, and by whoever reads a source without importing it."""
        if name in _KNOWN.files:
            file = _KNOWN.files[name]
            return spec_from_file_location(name, file, loader=_Text(name, file))
        if path is not None:
            places = list(path)
            return _by_text(PathFinder.find_spec(name, places)) if _inside(name, places) else None
        if _is_pythons(name):
            return None
        found = (PathFinder.find_spec(name, [folder]) for folder in _KNOWN.folders)
        specs = [spec for spec in found if spec is not None and spec.loader is not None]
        if len({spec.origin for spec in specs}) > 1:
            both = " and ".join(str(spec.origin) for spec in specs[:2])
            raise ImportError(f"{both} would both be {name!r}, and a process has one module of a name: rename one")
        return _by_text(specs[0]) if specs else None


class _Folders:
    """Finds packages without an `__init__.py` in the folders of the user, where nobody else knows the name."""

    @staticmethod
    def find_spec(name: str, path: Iterable[str] | None = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG004
        """As above."""
        if path is not None or _is_pythons(name):
            return None
        for folder in _KNOWN.folders:
            place = Path(folder, name)
            if any(chain(place.glob("*.py"), place.glob("*/*.py"))):
                spec = ModuleSpec(name, None, is_package=True)
                spec.submodule_search_locations = [str(place)]
                return spec
        return None


def _install() -> None:
    if _Modules not in sys.meta_path:
        sys.meta_path.insert(0, _Modules)
        sys.meta_path.append(_Folders)


def _is_pythons(name: str) -> bool:
    return not name or "." in name or name == "rbench" or name in sys.stdlib_module_names


def _inside(name: str, places: Iterable[str]) -> bool:
    """Whether the parent of a module lies in a folder of the user."""
    top = name.partition(".")[0]
    packages = [Path(folder, top) for folder in _KNOWN.folders]
    return any(Path(place).is_relative_to(package) for place in places for package in packages)


def _by_text(spec: ModuleSpec | None) -> ModuleSpec | None:
    if spec is not None and type(spec.loader) is SourceFileLoader:
        spec.loader = _Text(spec.loader.name, spec.loader.path)
    return spec
