"""The source text of modules, read and parsed without importing them or their parents."""

import ast
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
class Import:
    """One name that an import binds, at the top of a module or in a function.

    Attributes:
        local: the name in this module.
        module: the absolute dotted module.
        attribute: the name imported from it; None if the module itself is imported.
    """

    local: str
    module: str
    attribute: str | None


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
        bindings: dict[str, Binding] = {}
        for name, binding in self.walk(self.tree.body):
            bindings.setdefault(name, binding)
        return bindings

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree.

        Raises:
            NotStaticError: the text is no Python of this version.
        """
        try:
            return ast.parse(self.text)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise NotStaticError(f"{self.name}: {error}") from error

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Every import, those inside functions included, those under `if TYPE_CHECKING` left out."""
        return tuple(self._imports(self.tree))

    def _imports(self, node: ast.AST) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            match child:
                case ast.Import(names=names):
                    for alias in names:
                        local = alias.asname or alias.name.partition(".")[0]
                        yield Import(local, alias.name, None)
                case ast.ImportFrom(names=names):
                    for alias in names:
                        yield Import(alias.asname or alias.name, self._absolute(child), alias.name)
                case ast.If(test=test, orelse=orelse) if is_type_checking(test):
                    for statement in orelse:
                        yield from self._imports(ast.Module([statement], []))
                case ast.expr():
                    continue
                case _:
                    yield from self._imports(child)

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


def is_type_checking(test: ast.expr) -> bool:
    """Whether a condition is `TYPE_CHECKING`, which is false when code runs."""
    return (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")) == "TYPE_CHECKING"


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


@cache
def exists(name: str) -> bool:
    """Whether there is a module of this name, found without importing its parents."""
    try:
        _find(name)
    except ModuleMissingError:
        return False
    return True


def file_of(name: str) -> Path | None:
    """The file of a module, source or compiled; None if it has none of its own, as in a zip file.

    Raises:
        ModuleMissingError: it or a parent is not there.
    """
    origin = Path(_find(name).origin or "")
    return origin if origin.is_file() else None


def folder_of(top: str) -> Path | None:
    """The folder that a top-level module or package lies in; None if it is in none, as in a zip file."""
    spec = _find(top)
    places = list(spec.submodule_search_locations or ())
    place = Path(places[0] if places else spec.origin or "")
    return place.parent if place.exists() else None


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
            spec = next((known for find in finders if (known := find(full, path)) is not None), None)
        except KeyError:  # Python looks up the parents of a namespace package in sys.modules
            path = [str(Path(folder) / part) for folder in path or ()]
            continue
        if spec is None:
            raise ModuleMissingError(full)
        path = None if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
    if spec is None:
        raise ModuleMissingError(name)
    return spec
