"""The import of `robustbench` as `pip install` leaves it: what it needs and does not find is there while it is imported."""

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from rbench.backbones.robustbench_zoo.names import INSTALL, require_installed
from rbench.errors import MissingError


def library() -> ModuleType:
    """The library, imported.

    Two modules that it imports need not be there: `pkg_resources`, which setuptools no longer brings, and `autoattack`, whose name on PyPI
    is `pyautoattack`. Neither is used to make a model.

    Raises:
        MissingError: it, or something that it needs, is not installed.
    """
    require_installed()
    with _stand_ins(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that timm has moved, and models of timm that it registers anew
        try:
            return importlib.import_module("robustbench")
        except ImportError as error:
            problem = f"cannot be imported: {' '.join(str(error).split())[:200]}"
            raise MissingError(f"robustbench {problem}", component="backbone 'robustbench'", remedy=INSTALL) from error


@contextmanager
def _stand_ins() -> Iterator[None]:
    """A block in which modules that are not installed can be imported; nothing of it is left behind."""
    modules = {**_autoattack(), **_pkg_resources()}
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def _autoattack() -> dict[str, ModuleType]:
    if _is_there("autoattack"):
        return {}
    # Both are imported under their own names, or Python would make a second copy of the part and hang it into the package.
    parts = {"autoattack": "pyautoattack", "autoattack.state": "pyautoattack.state"}
    return {name: importlib.import_module(real) for name, real in parts.items()}


def _pkg_resources() -> dict[str, ModuleType]:
    if _is_there("pkg_resources"):
        return {}
    module = ModuleType("pkg_resources", "The one function of it that robustbench calls.")
    module.__dict__["resource_filename"] = _resource_filename
    return {"pkg_resources": module}


def _resource_filename(module: str, name: str) -> str:
    return str(Path(str(sys.modules[module].__file__)).parent / name)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # in `sys.modules`, and without a spec
        return True
