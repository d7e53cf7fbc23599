"""Modules as text: found and parsed without importing them or their parents."""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.machinery import ModuleSpec
from pathlib import Path

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class NotStaticError(Exception):
    """The source cannot be understood without running it."""


class ModuleMissingError(Exception):
    """No such module, or no source text of it.

    Args:
        name: the module or parent package that is not there.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"No module named {name!r}")
        self.name = name


@dataclass(frozen=True)
class Imported:
    """A name bound by an import: `from module import attribute`, or a module if attribute is None."""

    module: str
    attribute: str | None


Binding = Definition | ast.expr | Imported


@dataclass(frozen=True)
class Source:
    """A module as text.

    Attributes:
        name: its dotted name.
        text: its source.
        is_package: whether it is an `__init__`.
    """

    name: str
    text: str
    is_package: bool

    @cached_property
    def bindings(self) -> dict[str, Binding]:
        """What each module-level name is bound to; the first binding wins, as in `try: import ...`."""
        try:
            tree = ast.parse(self.text)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise NotStaticError(f"{self.name}: {error}") from error
        found: dict[str, Binding] = {}
        for name, binding in self.walk(tree.body):
            found.setdefault(name, binding)
        return found

    @property
    def version(self) -> str:
        """First 12 hex digits of the sha256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    def walk(self, body: Iterable[ast.stmt]) -> Iterator[tuple[str, Binding]]:
        """Each name that the statements of a module or class bind."""
        for node in body:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    yield node.name, node
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    yield name, value
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    yield name, value
                case ast.Import(names=names):
                    for alias in names:
                        top = alias.name.split(".")[0]
                        yield (
                            (alias.asname, Imported(alias.name, None)) if alias.asname else (top, Imported(top, None))
                        )
                case ast.ImportFrom(names=names):
                    for alias in names:
                        yield alias.asname or alias.name, Imported(self._absolute(node), alias.name)
                case ast.If(body=first, orelse=second) | ast.Try(body=first, orelse=second):
                    yield from self.walk([*first, *second])
                    for handler in getattr(node, "handlers", ()):
                        yield from self.walk(handler.body)
                case _ if type(node).__name__ == "TypeAlias":  # `type Loss = ...`, Python 3.12 on
                    yield node.name.id, node.value  # type: ignore[attr-defined]

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*parts, *([node.module] if node.module else [])])


@cache
def read(name: str) -> Source:
    """The source of a module, found without importing its parents.

    Raises:
        ModuleMissingError: it or a parent is not there.
        NotStaticError: it is there without Python source.
    """
    spec = _find(name)
    origin = spec.origin or ""
    if origin.endswith(".py") and Path(origin).is_file():
        text: str | None = importlib.util.decode_source(Path(origin).read_bytes())
    else:  # a zip file, or a compiled module
        get_source = getattr(spec.loader, "get_source", lambda _: None)
        text = get_source(name)
    if text is None:
        raise NotStaticError(f"{name} has no source text")
    return Source(name, text, spec.submodule_search_locations is not None)


def _find(name: str) -> ModuleSpec:
    path: list[str] | None = None
    spec: ModuleSpec | None = None
    parts = name.split(".")
    for end, part in enumerate(parts, 1):
        full = ".".join(parts[:end])
        if end > 1 and path is None:
            raise ModuleMissingError(full)
        try:
            finders = (finder.find_spec for finder in sys.meta_path if hasattr(finder, "find_spec"))
            spec = next((found for find in finders if (found := find(full, path)) is not None), None)
        except KeyError:  # Python looks up the parents of a namespace package in sys.modules
            path = [str(Path(folder) / part) for folder in path or ()]
            continue
        if spec is None:
            raise ModuleMissingError(full)
        path = None if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
    if spec is None:
        raise ModuleMissingError(name)
    return spec
