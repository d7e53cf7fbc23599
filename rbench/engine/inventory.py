"""What a defended model is made of, apart from its numbers: hooks, methods, attributes of the backbone, classes; and what has changed.

Parameters, buffers and train modes are hashed by `defended.state_hash`. Attributes of the purifier's own modules may change, since honest
modules keep what they computed; whether that changes an answer is what the audit asks. The backbone is frozen: nothing of it may change.
"""

import hashlib
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rbench.engine.patches import Patches, of_classes, undo_patches
from rbench.errors import CellFailed
from rbench.process_state import said, users_own

_DEPTH = 6
"""How deep modules are looked for in lists, maps and objects that a module holds."""
_MOST = 20_000
"""Objects looked at in one model."""
_STATE = ("_parameters", "_buffers", "_modules", "training")
"""What `state_hash` covers."""
_CONTAINERS = (list, tuple, set, frozenset)


@dataclass(frozen=True)
class _Part:
    """One module as it was.

    Attributes:
        path: as a user writes it: `backbone.layer1.0`.
        module: the module.
        cls: its class.
        hooks: for each kind of hook, what is registered.
        methods: functions that the instance has in place of those of its class.
        attributes: of a module of the backbone, a token for each of all other attributes; empty for the purifier's own.
        numbers: hash of the tensors of a module that is no registered part of the model; None of any other.
        frozen: whether it belongs to the backbone.
    """

    path: str
    module: nn.Module
    cls: type
    hooks: dict[str, tuple[Any, ...]]
    methods: dict[str, Any]
    attributes: dict[str, Any]
    numbers: str | None
    frozen: bool

    def changes(self) -> Iterator[str]:
        """Each thing that is not as it was, in words."""
        now = _part(self.path, self.module, frozen=self.frozen, hidden=self.numbers is not None)
        if now.cls is not self.cls:
            yield f"the class of {self.path}"
        for kind in self.hooks.keys() | now.hooks.keys():
            if self.hooks.get(kind, ()) != now.hooks.get(kind, ()):
                yield f"{kind.strip('_').replace('_', ' ')} of {self.path}"
        for name in sorted(self.methods.keys() | now.methods.keys()):
            if self.methods.get(name) is not now.methods.get(name):
                yield f"{self.path}.{name}"
        for name in sorted(self.attributes.keys() | now.attributes.keys()):
            if not _same(self.attributes.get(name, _ABSENT), now.attributes.get(name, _ABSENT)):
                yield f"{self.path}.{name}"
        if self.numbers != now.numbers:
            yield f"the parameters or buffers of {self.path}"


@dataclass(frozen=True)
class Inventory:
    """A defended model as it was at some time.

    Attributes:
        owner: whom errors blame, in words.
        parts: its modules, those held in lists and other objects among them.
        classes: what they are instances of.
    """

    owner: str
    parts: tuple[_Part, ...]
    classes: Patches

    def undo(self) -> list[str]:
        """Undoes patches of the model's classes, of torch and of rbench, so that no other model meets them; what was patched."""
        return [*undo_patches(), *self.classes.put_back()]

    @contextmanager
    def unchanged(self, when: str) -> Iterator[None]:
        """A block that runs the model, which must be afterwards as it was; patches are undone also where the block fails.

        Args:
            when: in words, e.g. `during the attack`.

        Raises:
            CellFailed: names the owner and what changed, which may be why the block failed.
        """
        try:
            yield
        except BaseException as error:
            if not users_own(error) and (changed := self.changes()):
                raise self._refusal(changed, f"{when}, and then failed ({said(error)})") from error
            self.undo()
            raise
        self.require_unchanged(when)

    def changes(self) -> list[str]:
        """What is not as it was, in words; patches are undone."""
        patched = self.undo()
        return [*dict.fromkeys([*patched, *(change for part in self.parts for change in part.changes())])]

    def require_unchanged(self, when: str) -> None:
        """Refuses a model that is not as it was.

        Args:
            when: in words, e.g. `during the attack`.

        Raises:
            CellFailed: names the owner and what changed.
        """
        if changed := self.changes():
            raise self._refusal(changed, when)

    def _refusal(self, changed: list[str], when: str) -> CellFailed:
        more = f", and {len(changed) - 3} more" if len(changed) > 3 else ""
        problem = f"{self.owner} changed {', '.join(changed[:3])}{more} {when}."
        remedy = "A purifier computes images from images, and leaves the classifier and torch as they are."
        return CellFailed(problem, component=self.owner, remedy=remedy)


def patching(component: str, patched: list[str]) -> CellFailed:
    """The error about a component that patched something before any cell ran.

    Args:
        component: whom to blame, e.g. `purifier 'jpeg'`.
        patched: the full names.
    """
    problem = f"{component} changed {', '.join(patched[:3])} when it was imported or made."
    return CellFailed(problem, component=component, remedy="Let it leave torch, rbench and the backbone as they are.")


def refuse_patched(component: str) -> None:
    """Undoes patches that stand in torch or rbench now, and refuses whoever was imported or made last.

    Args:
        component: whom to blame, e.g. `purifier 'jpeg'`.

    Raises:
        CellFailed: something was patched.
    """
    if patched := undo_patches():
        raise patching(component, patched)


def take_inventory(purifier: nn.Module, backbone: nn.Module, owner: str) -> Inventory:
    """The inventory of a purifier and a backbone.

    Args:
        purifier: which may hold the backbone.
        backbone: frozen.
        owner: whom errors blame, in words.
    """
    parts: dict[int, _Part] = {}
    for root, path, frozen in ((backbone, "backbone", True), (purifier, "purifier", False)):
        registered = {id(module) for module in root.modules()}
        for where, module in _modules(root, path):
            if id(module) not in parts:
                parts[id(module)] = _part(where, module, frozen=frozen, hidden=id(module) not in registered)
    return Inventory(owner, tuple(parts.values()), of_classes(part.module for part in parts.values()))


def _part(path: str, module: nn.Module, *, frozen: bool, hidden: bool) -> _Part:
    own = vars(module)
    hooks = {k: tuple(v.items()) for k, v in own.items() if k.endswith("hooks") and isinstance(v, dict)}
    hooks |= {k: tuple(sorted(v)) for k, v in own.items() if "hooks_" in k and isinstance(v, dict)}
    methods = {k: v for k, v in own.items() if callable(v) and callable(getattr(type(module), k, None))}
    rest = {k: v for k, v in own.items() if k not in hooks and k not in methods and k not in _STATE}
    attributes = {k: _token(v) for k, v in rest.items()} if frozen else {}
    attributes |= {k: _token(v) for k, v in module._modules.items()} if frozen else {}
    return _Part(path, module, type(module), hooks, methods, attributes, _numbers(module) if hidden else None, frozen)


class _Absent:
    """The token of an attribute that is not there."""


_ABSENT = _Absent()


@dataclass(frozen=True)
class _Token:
    """An attribute as it was: the object, and of a tensor or a container also what it holds."""

    value: Any
    inside: Any


def _token(value: object, depth: int = 2) -> _Token:
    if isinstance(value, Tensor):
        return _Token(None, _tensor_hash(value))
    if isinstance(value, dict) and depth:
        return _Token(None, [(key, _token(item, depth - 1)) for key, item in list(value.items())[:_MOST]])
    if isinstance(value, _CONTAINERS) and depth:
        return _Token(None, [_token(item, depth - 1) for item in list(value)[:_MOST]])
    return _Token(value, None)


def _same(before: object, now: object) -> bool:
    """Whether an attribute is what it was. A tensor in the place of None is one that is made when it is first needed."""
    if not isinstance(before, _Token) or not isinstance(now, _Token):
        return before is now
    if before.inside is None and now.inside is None:
        plain = type(before.value) is type(now.value) and isinstance(before.value, bool | int | float | str | bytes)
        return before.value is now.value or (plain and before.value == now.value)
    if isinstance(before.inside, list) and isinstance(now.inside, list):
        return len(before.inside) == len(now.inside) and all(map(_same_item, before.inside, now.inside))
    return before.inside == now.inside or (before == _Token(None, None) and isinstance(now.inside, str))


def _same_item(before: Any, now: Any) -> bool:
    if isinstance(before, tuple):
        return bool(before[0] == now[0]) and _same(before[1], now[1])
    return _same(before, now)


def _tensor_hash(tensor: Tensor) -> str:
    data = tensor.detach()
    if data.is_meta or data.layout is not torch.strided:
        return f"{id(tensor)} {tensor._version}"
    held = data.resolve_conj().resolve_neg().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return f"{data.dtype} {tuple(data.shape)} {hashlib.sha256(held).hexdigest()}"


def _numbers(module: nn.Module) -> str:
    tensors = [*module._parameters.items(), *module._buffers.items()]
    return str([(name, _tensor_hash(tensor)) for name, tensor in tensors if tensor is not None])


def reached(root: nn.Module) -> list[nn.Module]:
    """Every module that a module reaches, itself first."""
    return [module for _, module in _modules(root, "")]


def _modules(root: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """Every module that a module reaches through its parts, lists, maps and the objects that it holds, each once, with its path."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any, int]] = [(path, root, _DEPTH)]
    while waiting and len(seen) < _MOST:
        where, value, depth = waiting.pop()
        if id(value) in seen or isinstance(value, type | types.ModuleType | Tensor | str | bytes):
            continue
        seen.add(id(value))
        if isinstance(value, nn.Module):
            yield where, value
            waiting += [(f"{where}.{k}", v, depth - 1) for k, v in vars(value).items() if _may_hold(k, v)]
            # Taken from the end: a part is called by its own name, though a list may hold it as well.
            waiting += [(f"{where}.{name}", part, depth) for name, part in value._modules.items() if part is not None]
        elif depth > 0:
            waiting += [(f"{where}{at}", item, depth - 1) for at, item in _items(value)]


def _may_hold(name: str, value: object) -> bool:
    return name not in _STATE and not name.endswith("hooks") and not isinstance(value, bool | int | float | None)


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", item) for key, item in list(value.items())[:_MOST])
    elif isinstance(value, _CONTAINERS):
        yield from ((f"[{place}]", item) for place, item in enumerate(list(value)[:_MOST]))
    elif isinstance(value, types.MethodType):
        yield ".__self__", value.__self__
    elif type(value).__module__.partition(".")[0] not in ("builtins", "torch", "numpy") and hasattr(value, "__dict__"):
        yield from ((f".{name}", item) for name, item in list(vars(value).items()))
