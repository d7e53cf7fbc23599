"""Classes and modules that every row shares: what their functions were, what has been put in their place, and putting them back.

`nn.Linear.forward = ...` in a purifier would change every row of the run, so torch's names are held as they were when the engine was
loaded, and those of a model's own classes as they were before the purifier had a chance to change them.
"""

import copy
import sys
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torch_module

from rbench.own_code import loaded

_MODULES = (
    *(
        "torch",
        "torch.nn",
        "torch.nn.functional",
        "torch.nn.init",
        "torch.autograd",
        "torch.linalg",
        "torch.fft",
        "torch.special",
    ),
    *(
        "torch.random",
        "torch.utils.checkpoint",
        "torch.nn.modules.module",
        "torch.autograd.grad_mode",
        "torch.autograd.function",
    ),
    *(
        "torchvision.transforms.functional",
        "torchvision.transforms._functional_tensor",
        "numpy",
        "numpy.random",
        "random",
    ),
)
"""Names that models, attacks and the judge call; those of rbench's own engine are added to them."""
_OURS = ("rbench.engine", "rbench.threat", "rbench.attacks")
_GLOBAL_HOOKS = tuple(name for name in vars(torch_module) if name.startswith("_global_") and "hook" in name)
_CODE = ("__code__", "__defaults__", "__kwdefaults__")
_TORCH = Path(torch.__file__).parent
_FOLLOWS = ("Storage",)
"""Names of torch that follow the default dtype."""
_ADDED = ("smart_apply",)
"""Methods that transformers adds to torch's class of modules, which neither torch nor rbench calls."""
_PLAIN = (type(None), bool, int, float, complex, str, bytes)


def callable_like(value: object) -> bool:
    """Whether an attribute decides what code runs: functions, classes and whatever a class makes methods of."""
    return callable(value) or isinstance(value, property | classmethod | staticmethod | types.MemberDescriptorType)


def _function(value: object) -> Any:
    return value.__func__ if isinstance(value, classmethod | staticmethod) else value


@dataclass(frozen=True)
class _Code:
    """What a Python function runs, which could be exchanged inside it."""

    function: types.FunctionType
    parts: tuple[Any, ...]

    def same(self) -> bool:
        return self.function.__code__ is self.parts[0] and self.function.__defaults__ is self.parts[1]

    def put_back(self) -> None:
        for name, part in zip(_CODE, self.parts, strict=True):
            setattr(self.function, name, part)


@dataclass(frozen=True)
class Names:
    """The functions of a class or module as they were, and of a class its plain values.

    Attributes:
        owner: the class or module.
        called: what messages call it.
        held: the functions by name.
        code: what those of them run that are written in Python, by name.
        plain: numbers, texts, and lists and maps of them, by name, each with what it held: a counter is no fault, but must not reach
            another row.
    """

    owner: Any
    called: str
    held: dict[str, Any]
    code: dict[str, _Code]
    plain: dict[str, tuple[Any, Any]]

    def changed(self) -> list[str]:
        """The names of functions that are others now; of a class also those that it did not have."""
        now = vars(self.owner)
        gone = object()
        changed = [name for name, value in self.held.items() if now.get(name, gone) is not value]
        changed = [name for name in changed if not _by_torch(now.get(name), self.held[name])]
        changed += [name for name, code in self.code.items() if not code.same()]
        if isinstance(self.owner, type):
            changed += [
                name for name, v in now.items() if name not in (*self.held, *self.plain, *_ADDED) and _method(v)
            ]
        return changed

    def put_back(self) -> list[str]:
        """Makes every function what it was; the full names of those that were not."""
        changed = self.changed()
        for name in changed:
            if name in self.held:
                if name in self.code:
                    self.code[name].put_back()
                setattr(self.owner, name, self.held[name])
            else:
                delattr(self.owner, name)
        return [f"{self.called}.{name}" for name in changed]

    def reset(self) -> None:
        """Makes every plain value what it was; a list or map keeps its identity."""
        for name, (value, inside) in self.plain.items():
            now = vars(self.owner).get(name, value)
            if isinstance(value, list | dict | set):
                if now is value and now != inside:
                    value.clear()
                    value.extend(inside) if isinstance(value, list) else value.update(inside)
            elif isinstance(now, _PLAIN) and (type(now), now) != (type(value), value):
                setattr(self.owner, name, value)


def _by_torch(now: object, before: object) -> bool:
    """Whether torch has put a function of its own in the place of another, as it does with a few when its compiler is first used."""
    if not isinstance(now, types.FunctionType):
        return False
    file = Path(now.__code__.co_filename)
    wraps = getattr(now, "__wrapped__", None) is before and file.is_relative_to(_TORCH)
    return wraps or file.is_relative_to(_TORCH / "_dynamo")


def _method(value: object) -> bool:
    return isinstance(value, types.FunctionType | types.MethodType | property | classmethod | staticmethod)


def _names(owner: Any, called: str, *, plain: bool = False) -> Names:
    mine = dict(vars(owner))
    held = {name: v for name, v in mine.items() if callable_like(v) and name not in _FOLLOWS}
    written = {name: f for name, v in held.items() if isinstance(f := _function(v), types.FunctionType)}
    code = {name: _Code(f, tuple(getattr(f, part) for part in _CODE)) for name, f in written.items()}
    kept = {name: (v, copy.copy(v)) for name, v in mine.items() if _is_plain(v) and not name.startswith("__")}
    return Names(owner, called, held, code, kept if plain else {})


def _is_plain(value: object) -> bool:
    items = (
        [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list | set) else [value]
    )
    return all(isinstance(item, _PLAIN) for item in items)


@dataclass(frozen=True)
class _Hooks:
    """torch's hooks for all modules, as they were."""

    held: dict[str, dict[int, Any]]

    def put_back(self) -> list[str]:
        changed = []
        for name, before in self.held.items():
            now = vars(torch_module)[name]
            if list(now.items()) != list(before.items()):
                now.clear()
                now.update(before)
                words = name.removeprefix("_global_").replace("_", " ")
                changed.append(f"torch.nn.modules.module ({words} of every module)")
        return changed


@dataclass(frozen=True)
class Patches:
    """What may not be patched, as it was at some time."""

    names: tuple[Names, ...]
    hooks: _Hooks | None = None

    def put_back(self) -> list[str]:
        """Undoes every patch; the full names of what was patched, empty if nothing was."""
        found = [full for names in self.names for full in names.put_back()]
        return list(dict.fromkeys([*found, *(self.hooks.put_back() if self.hooks else ())]))

    def reset(self) -> None:
        """Makes the plain values of classes what they were."""
        for names in self.names:
            names.reset()


@cache
def of_torch() -> Patches:
    """torch, and what computes images beside it, as they were when this was first asked."""
    loaded = [name for name in _MODULES if name in sys.modules]
    names = [_names(sys.modules[name], name) for name in loaded]
    classes: dict[type, None] = dict.fromkeys([torch.Tensor, nn.Parameter, torch.autograd.Function, nn.Module])
    classes |= dict.fromkeys(_subclasses(nn.Module, "torch.nn"))
    names += [_names(cls, name_of(cls)) for cls in classes]
    dicts = {
        name: dict(vars(torch_module)[name]) for name in _GLOBAL_HOOKS if isinstance(vars(torch_module)[name], dict)
    }
    return Patches(tuple(names), _Hooks(dicts))


@cache
def of_judging() -> Patches:
    """The functions and classes of rbench that attack and judge, as they were when this was first asked."""
    names = []
    for name in sorted(name for name in sys.modules if name.startswith(_OURS)):
        module = sys.modules[name]
        own = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == name]
        names += [_names(module, name), *(_names(cls, name_of(cls)) for cls in own)]
    return Patches(tuple(names))


def of_package(module: str) -> Patches:
    """The plain values of the modules and classes of a third party's package, as they are now; nothing of rbench's own or torch's.

    Args:
        module: one of its modules, e.g. that of an entry point; if that is code of the user's own, what it imports beside it counts too.
    """
    top = module.partition(".")[0]
    if top in ("rbench", "torch", "torchvision", "__main__"):  # the last holds what the user has in a notebook
        return Patches(())
    names, own_code = list[Names](), loaded()
    package = {name for name in sys.modules if name == top or name.startswith(f"{top}.")}
    for name in sorted(package.union(own_code if module in own_code else ())):
        here = sys.modules[name]
        own = [v for v in vars(here).values() if isinstance(v, type) and v.__module__ == name]
        names += [replace(_names(owner, name, plain=True), held={}, code={}) for owner in (here, *own)]
    return Patches(tuple(names))


def undo_patches() -> list[str]:
    """Undoes every patch of torch and of rbench's judging; the full names of what was patched."""
    return [*of_torch().put_back(), *of_judging().put_back()]


def of_classes(modules: Iterable[nn.Module]) -> Patches:
    """The classes of some modules and all that they inherit from, but for those of torch, as they are now."""
    classes = dict.fromkeys(
        c for m in modules for c in type(m).__mro__ if c is not object and not c.__module__.startswith("torch.")
    )
    return Patches(tuple(_names(cls, name_of(cls)) for cls in classes))


def name_of(cls: type) -> str:
    """The name of a class as a user writes it: `torch.nn.Linear`, not the file that it stands in."""
    if cls.__module__.startswith("torch.nn.") and getattr(nn, cls.__name__, None) is cls:
        return f"torch.nn.{cls.__name__}"
    return "torch.Tensor" if cls is torch.Tensor else f"{cls.__module__}.{cls.__qualname__}"


def _subclasses(cls: type[Any], package: str) -> Iterator[type[Any]]:
    for sub in cls.__subclasses__():
        if sub.__module__.startswith(package):
            yield sub
        yield from _subclasses(sub, package)


of_torch()  # before any plug-in is constructed
