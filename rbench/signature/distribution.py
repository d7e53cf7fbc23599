"""Which top-level modules an installed distribution brings: its own code, as against the libraries that it uses."""

import sys
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

from rbench.signature.source import ModuleMissingError, folder_of
from rbench.signature.version import Owned

_LIBRARIES = ("site-packages", "dist-packages")


def owner(distribution: str, module: str) -> Owned:
    """A function that says whether a top-level module belongs to a distribution.

    The given module does, and so do those in the distribution's list of files; where there is no list, as when it is installed in place
    for development, those in the same folder.

    Args:
        distribution: its name.
        module: a module of it.
    """
    own = module.partition(".")[0]

    def owned(top: str) -> bool:
        if top == own or top in sys.stdlib_module_names:
            return top == own
        folder = folder_of(own)
        if folder is None or top not in _inside(folder):
            return False
        listed = _listed(distribution)
        return top in listed if listed else folder.name not in _LIBRARIES

    return owned


@cache
def _inside(folder: Path) -> frozenset[str]:
    """The modules and packages that a folder may hold, by name."""
    return frozenset(path.name.partition(".")[0] for path in folder.iterdir()) if folder.is_dir() else frozenset()


@cache
def _listed(distribution: str) -> frozenset[str]:
    """The top-level names among the files of a distribution; none if it is installed in place."""
    try:
        files = Distribution.from_name(distribution).files or []
    except (PackageNotFoundError, ValueError, OSError):
        return frozenset()
    tops = (file.parts[0] for file in files if file.suffix in (".py", ".so", ".pyd"))
    return frozenset(top.partition(".")[0] for top in tops if top != ".." and not top.startswith("__editable__"))


def beside(module: str) -> Owned:
    """A function that says whether a top-level module is of the user's own code that a module is part of: it lies in the same folder.

    Of an installed package, that is the package alone.

    Args:
        module: dotted name.

    Raises:
        ModuleMissingError: there is no such module.
    """
    own = module.partition(".")[0]
    folder = _resolved(own)

    @cache
    def owned(top: str) -> bool:
        if top == own or not top or top in sys.stdlib_module_names or top == "rbench":
            return top == own
        try:
            return folder is not None and folder.name not in _LIBRARIES and _resolved(top) == folder
        except ModuleMissingError:
            return False

    return owned


def _resolved(top: str) -> Path | None:
    folder = folder_of(top)
    return None if folder is None else folder.resolve()
