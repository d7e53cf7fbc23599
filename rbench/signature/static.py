"""The signature, docstring and facts of a component, read from its source without importing it.

Torch takes seconds to import; listing, planning and checking a suite must not wait for it.
"""

import ast
import sys
from collections.abc import Iterator
from typing import Any

from rbench.signature.evaluate import FOREIGN, Evaluator
from rbench.signature.parameters import (
    REQUIRED,
    Parameter,
    Signature,
    argument_sentences,
    type_of_default,
)
from rbench.signature.source import Definition, Imported, ModuleMissingError, NotStaticError, Source, read

_DEPTH = 40
_TAKE_NOTHING = frozenset({("builtins", "object"), ("abc", "ABC"), ("torch", "Module")})
"""Bases, by package and name, whose constructor takes no argument."""


def definition(module: str, attribute: str) -> tuple[Source, Definition]:
    """The module that defines a class or function, re-exports followed, and its syntax tree.

    Raises:
        ModuleMissingError: its module is not there.
        NotStaticError: it is made at run time.
    """
    source = read(module)
    for _ in range(_DEPTH):
        binding = source.bindings.get(attribute)
        match binding:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return source, binding
            case ast.Name(id=name):
                attribute = name
            case Imported(module=name, attribute=str(attribute)):
                source = read(name)
            case _:
                raise NotStaticError(f"{source.name} does not define {attribute}")
    raise NotStaticError(f"{module}:{attribute} is re-exported in a circle")


def signature(module: str, attribute: str) -> Signature:
    """The signature of a class or function.

    Raises:
        ModuleMissingError: its module is not there.
        NotStaticError: a type or default is only known at run time.
    """
    source, node = definition(module, attribute)
    if not isinstance(node, ast.ClassDef):
        return _signature(source, node, [ast.get_docstring(node)], skip=0)
    docstrings = []
    for owner, base in _lineage(source, node):
        docstrings.append(ast.get_docstring(base))
        methods = {item.name: item for item in base.body if isinstance(item, ast.FunctionDef)}
        if "__new__" in methods or any(_is_dataclass(d) for d in base.decorator_list):
            raise NotStaticError(f"{base.name} has a constructor that is no written __init__")
        if init := methods.get("__init__"):
            return _signature(owner, init, [*docstrings, ast.get_docstring(init)], skip=1)
        _require_no_hidden_constructor(owner, base)
    return Signature()


def _require_no_hidden_constructor(source: Source, node: ast.ClassDef) -> None:
    """Refuses a class that may inherit the constructor of a base that `_lineage` does not follow.

    Those are the bases after the first, and first ones that are torch's, the standard library's or made at run time.
    """
    for place, base in enumerate(node.bases):
        module, name = Evaluator(source).origin(base)
        followed = place == 0 and name is not None and _is_written(module)
        if not followed and (module.split(".")[0], name) not in _TAKE_NOTHING:
            raise NotStaticError(f"{node.name} may inherit the constructor of {ast.unparse(base)}")


def docstring(module: str, attribute: str) -> str:
    """The docstring of a class or function, possibly empty."""
    return ast.get_docstring(definition(module, attribute)[1]) or ""


def facts(module: str, attribute: str) -> dict[str, Any]:
    """Literal public class attributes; for a function, the UPPER_CASE literals of its module, lower-cased."""
    source, node = definition(module, attribute)
    facts: dict[str, Any] = {}
    if isinstance(node, ast.ClassDef):
        for owner, base in _lineage(source, node):
            for name, value in owner.walk(base.body):
                if not name.startswith("_") and isinstance(value, ast.expr):
                    _put_literal(facts, name, owner, value)
        return facts
    for name, value in source.bindings.items():
        if name.isupper() and not name.startswith("_") and isinstance(value, ast.expr):
            _put_literal(facts, name.lower(), source, value)
    return facts


def _put_literal(facts: dict[str, Any], name: str, source: Source, node: ast.expr) -> None:
    try:
        value = Evaluator(source).value(node)
    except (NotStaticError, ModuleMissingError):
        return
    if isinstance(value, str | int | float | tuple | list | None):
        facts.setdefault(name, value)


def _lineage(source: Source, node: ast.ClassDef) -> Iterator[tuple[Source, ast.ClassDef]]:
    """The class and its first bases, as far as they are written outside torch and the standard library."""
    for _ in range(_DEPTH):
        yield source, node
        for base in node.bases:
            module, name = Evaluator(source).origin(base)
            if name and _is_written(module):
                written, parent = definition(module, name)
                if isinstance(parent, ast.ClassDef):
                    source, node = written, parent
                    break
        else:
            return


def _is_written(module: str) -> bool:
    return module.split(".")[0] not in FOREIGN | sys.stdlib_module_names


def _is_dataclass(decorator: ast.expr) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")) in (
        "dataclass",
        "define",
        "frozen",
    )


def _signature(
    source: Source, node: ast.FunctionDef | ast.AsyncFunctionDef, docstrings: list[str | None], skip: int
) -> Signature:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    first_default = len(positional) - len(arguments.defaults)
    defaults = [arguments.defaults[i - first_default] if i >= first_default else None for i in range(len(positional))]
    pairs = [*zip(positional, defaults, strict=True)][skip:]
    first = pairs[0][0].arg if pairs else None
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    sentences = argument_sentences(*docstrings)
    evaluate = Evaluator(source)
    parameters = []
    for argument, default_node in pairs:
        default = REQUIRED if default_node is None else evaluate.value(default_node)
        written, name = argument.annotation, argument.arg
        annotation = type_of_default(default) if written is None else evaluate.type(written)
        parameters.append(Parameter(name, annotation, default, name == first, sentences.get(name, "")))
    return Signature(tuple(parameters), open=arguments.kwarg is not None)
