"""The parameters of an imported class or function: the function that takes them, its docstrings, its annotations."""

import functools
import inspect
import operator
import sys
from collections.abc import Callable
from types import SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from rbench.signature.evaluate import FOREIGN

_TAKE_NOTHING = frozenset({"typing", "torch.nn.modules.module"})
"""Modules with the constructors of `Protocol` and of `nn.Module`, which take no argument although their signature is `**kwargs`."""


def constructor(function: Callable[..., Any]) -> tuple[Callable[..., Any], list[str | None]]:
    """The function whose parameters a call gives, and the docstrings that may describe them, the closest first.

    Args:
        function: a function, which is returned itself; or a class, whose constructor may be inherited.
    """
    if not inspect.isclass(function):
        return function, [function.__doc__]
    ancestors = function.__mro__
    owner = next(cls for cls in ancestors if vars(cls).keys() & {"__new__", "__init__"})  # `object` has both
    method = getattr(owner, "__new__" if "__new__" in vars(owner) else "__init__")
    described = ancestors[: ancestors.index(owner) + 1]
    return method, [*(vars(cls).get("__doc__") for cls in described), method.__doc__]


def takes_nothing(function: Callable[..., Any]) -> bool:
    """Whether a constructor has the signature `**kwargs` and refuses every argument."""
    return getattr(function, "__module__", None) in _TAKE_NOTHING


def names_around(function: Callable[..., Any]) -> dict[str, Any]:
    """The names that text annotations of a function can use: those of the module it is written in."""
    while isinstance(function, functools.partial):
        function = function.func
    module = sys.modules.get(getattr(inspect.unwrap(function), "__module__", None) or "")
    return vars(module) if module else {}


def resolved(annotation: Any, names: dict[str, Any]) -> Any:
    """An annotation as a type, with `Any` for objects that no suite can write; `Any` as a whole if a name in it cannot be resolved.

    Args:
        annotation: a type, or text that names one.
        names: what the text can name, beside the built-in types.
    """
    alone = SimpleNamespace(__annotations__={"it": annotation})
    try:
        return _writable(get_type_hints(alone, globalns=names, include_extras=True)["it"])
    except Exception:  # an annotation may be anything at all; a wrong one costs this parameter its check, and no other
        return Any


def _writable(annotation: Any) -> Any:
    if isinstance(annotation, list):  # the arguments of a Callable
        return [_writable(item) for item in annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if str(getattr(origin or annotation, "__module__", "")).split(".")[0] in FOREIGN:
        return Any
    if origin is Annotated:
        return Annotated[_writable(arguments[0]), *arguments[1:]]
    items = arguments if origin is Literal else tuple(_writable(item) for item in arguments)
    if items == arguments:
        return annotation
    return functools.reduce(operator.or_, items) if origin is UnionType else origin[items]
