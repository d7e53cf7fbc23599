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
    annotation_or_guess,
    argument_sentences,
)
from rbench.signature.source import Definition, Imported, ModuleMissingError, NotStaticError, Source, read

_DEPTH = 40


def definition(module: str, attribute: str) -> tuple[Source, Definition]:
    """Where a class or function is really defined, re-exports followed.

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
    text = ast.get_docstring(node) or ""
    if not isinstance(node, ast.ClassDef):
        return _signature(source, node, text, skip=0)
    for owner, base in _lineage(source, node):
        if any(_is_dataclass(d) for d in base.decorator_list):
            raise NotStaticError(f"{base.name} has a generated constructor")
        init = next((n for n in base.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
        if init is not None:
            return _signature(owner, init, f"{text}\n{ast.get_docstring(init) or ''}", skip=1)
    return Signature()


def docstring(module: str, attribute: str) -> str:
    """The docstring of a class or function, possibly empty."""
    return ast.get_docstring(definition(module, attribute)[1]) or ""


def facts(module: str, attribute: str) -> dict[str, Any]:
    """Literal public class attributes; for a function, the UPPER_CASE literals of its module, lower-cased."""
    source, node = definition(module, attribute)
    found: dict[str, Any] = {}
    if isinstance(node, ast.ClassDef):
        for owner, base in _lineage(source, node):
            for name, value in owner.walk(base.body):
                if not name.startswith("_") and isinstance(value, ast.expr):
                    _put_literal(found, name, owner, value)
        return found
    for name, value in source.bindings.items():
        if name.isupper() and not name.startswith("_") and isinstance(value, ast.expr):
            _put_literal(found, name.lower(), source, value)
    return found


def _put_literal(found: dict[str, Any], name: str, source: Source, node: ast.expr) -> None:
    try:
        value = Evaluator(source).value(node)
    except (NotStaticError, ModuleMissingError):
        return
    if isinstance(value, str | int | float | tuple | list | None):
        found.setdefault(name, value)


def _lineage(source: Source, node: ast.ClassDef) -> Iterator[tuple[Source, ast.ClassDef]]:
    """The class and its first bases, as far as they are written outside torch and the standard library."""
    for _ in range(_DEPTH):
        yield source, node
        for base in node.bases:
            module, name = Evaluator(source).origin(base)
            if name and module.split(".")[0] not in FOREIGN | sys.stdlib_module_names:
                found, parent = definition(module, name)
                if isinstance(parent, ast.ClassDef):
                    source, node = found, parent
                    break
        else:
            return


def _is_dataclass(decorator: ast.expr) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")) in (
        "dataclass",
        "define",
        "frozen",
    )


def _signature(source: Source, node: ast.FunctionDef | ast.AsyncFunctionDef, text: str, skip: int) -> Signature:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    first_default = len(positional) - len(arguments.defaults)
    defaults = [arguments.defaults[i - first_default] if i >= first_default else None for i in range(len(positional))]
    pairs = [*zip(positional, defaults, strict=True)][skip:]
    first = pairs[0][0].arg if pairs else None
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    sentences = argument_sentences(text)
    evaluate = Evaluator(source)
    parameters = []
    for argument, default_node in pairs:
        default = REQUIRED if default_node is None else evaluate.value(default_node)
        annotation = REQUIRED if argument.annotation is None else evaluate.type(argument.annotation)
        name = argument.arg
        annotation = annotation_or_guess(annotation, default)
        parameters.append(Parameter(name, annotation, default, name == first, sentences.get(name, "")))
    return Signature(tuple(parameters), open=arguments.kwarg is not None)
