"""The version of a class or function that stands in a notebook, or in the script that is run: from its source and what this uses."""

import ast
import hashlib
import inspect
import linecache
import sys
from collections.abc import Callable, Iterator
from textwrap import dedent
from types import CodeType, FunctionType, ModuleType
from typing import Any

from rbench.signature.distribution import beside
from rbench.signature.source import ModuleMissingError, folder_of
from rbench.signature.version import DIGITS, source_version, text_version

_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_LIBRARIES = ("site-packages", "dist-packages")


def object_version(made: Callable[..., Any]) -> str | None:
    """First 12 hex digits of the sha256 of what a class or function computes; None if its source cannot be had.

    Of a module of its own: the version of that module. Else its source counts, that of the functions and classes beside it that it uses,
    the numbers and texts that it reads by name, and the user's modules that it imports.

    Args:
        made: the class or function.
    """
    module = made.__module__ or "__main__"
    if module != "__main__":
        return _module_version(module)
    parts: dict[str, str] = {}
    waiting: list[Any] = [made]
    try:
        while waiting:
            one = waiting.pop()
            if one.__qualname__ not in parts:
                parts[one.__qualname__] = text_version(_text(one))
                for name, value in _used(one):
                    if isinstance(value, type | FunctionType) and value.__module__ == module:
                        waiting.append(value)
                    elif isinstance(value, _PLAIN):
                        parts[name] = repr(value)
                    elif version := _imported_version(value):
                        parts[name] = version
    except (OSError, TypeError, SyntaxError):
        return None
    text = "\n".join(f"{name} {part}" for name, part in sorted(parts.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _module_version(module: str) -> str | None:
    try:
        return source_version(module, beside(module))
    except (ModuleMissingError, ValueError, ImportError):  # it was made in memory
        return None


def _imported_version(value: Any) -> str | None:
    """The version of the user's module that a value is, or comes from; None if that is Python's or a library's."""
    module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    top = str(module or "").partition(".")[0]
    if top in ("", "__main__", "rbench") or top in sys.stdlib_module_names:
        return None
    try:
        folder = folder_of(top)
    except (ModuleMissingError, ValueError, ImportError):
        return None
    return None if folder is None or folder.name in _LIBRARIES else _module_version(str(module))


def _text(one: Any) -> str:
    try:
        return dedent(inspect.getsource(one))
    except (OSError, TypeError):
        if not isinstance(one, type):
            raise
        return _text_of_class(one)


def _text_of_class(cls: type) -> str:
    """The source of a class of a notebook, which Python looks for in a file of `__main__`: found by that of its methods."""
    code = next((function.__code__ for function in _functions(cls)), None)
    if code is None:
        raise OSError(f"{cls.__qualname__} has no method")
    tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first <= code.co_firstlineno <= (node.end_lineno or 0):
                return ast.unparse(node)
    raise OSError(f"{cls.__qualname__} is not in {code.co_filename}")


def _functions(cls: type) -> Iterator[FunctionType]:
    for value in vars(cls).values():
        parts = (value.fget, value.fset) if isinstance(value, property) else (getattr(value, "__func__", value),)
        yield from (part for part in parts if isinstance(part, FunctionType) and part.__module__ == cls.__module__)


def _used(one: Any) -> Iterator[tuple[str, Any]]:
    """What a class or function reads by name, and what a class inherits from."""
    functions = [one] if isinstance(one, FunctionType) else list(_functions(one))
    if isinstance(one, type):
        yield from ((base.__name__, base) for base in one.__bases__)
    for function in functions:
        for name in _names(function.__code__):
            if name in function.__globals__:
                yield name, function.__globals__[name]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
