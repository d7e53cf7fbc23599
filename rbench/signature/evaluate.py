"""Evaluates the annotations and defaults of a signature from source text, without running it."""

import ast
import builtins
import importlib
import sys
from collections.abc import Callable
from typing import Any

from rbench.signature.source import Imported, ModuleMissingError, NotStaticError, Source, read

FOREIGN = frozenset({"torch", "torchvision", "numpy", "PIL"})
_PLAIN_MODULES = frozenset(
    {
        "typing",
        "typing_extensions",
        "annotated_types",
        "pathlib",
        "collections.abc",
        "fractions",
        "math",
        "pydantic",
    }
)
_TYPES = frozenset({"int", "float", "bool", "str", "list", "dict", "tuple", "set", "frozenset", "object"})
_DEPTH = 40


class Evaluator:
    """Evaluates expressions in the scope of one module.

    Args:
        source: the module.
        depth: how many modules were followed so far.
    """

    def __init__(self, source: Source, depth: int = 0) -> None:
        if depth > _DEPTH:
            raise NotStaticError(f"{source.name}: too many steps")
        self.source = source
        self.depth = depth

    def type(self, node: ast.expr) -> Any:
        """An annotation; text is a forward reference."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                return self.type(ast.parse(node.value, mode="eval").body)
            except SyntaxError as error:
                raise NotStaticError(f"{self.source.name}: {error}") from error
        match node:
            case ast.Subscript(value=origin, slice=index):
                return self._subscript(self.type(origin), index)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self._apply(lambda: self.type(left) | self.type(right))
            case ast.List(elts=items):  # the arguments of a Callable
                return [self.type(item) for item in items]
            case ast.Name() | ast.Attribute() if self.origin(node)[0].split(".")[0] in FOREIGN:
                return Any  # an object that no suite can write
            case ast.Name() | ast.Attribute():
                return self._name(node, as_type=True)
        return self.value(node)

    def _subscript(self, origin: Any, index: ast.expr) -> Any:
        items = index.elts if isinstance(index, ast.Tuple) else [index]
        if origin is Any:
            return Any
        name = getattr(origin, "_name", None) or getattr(origin, "__name__", "")
        if name == "Literal":
            arguments = [self.value(item) for item in items]
        elif name == "Annotated":
            arguments = [self.type(items[0]), *(self.value(item) for item in items[1:])]
        else:
            arguments = [self.type(item) for item in items]
        return self._apply(lambda: origin[tuple(arguments) if len(arguments) > 1 else arguments[0]])

    def value(self, node: ast.expr) -> Any:
        """A default or a bound: literals, arithmetic, names bound to them, and a few harmless calls."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Subscript():
                return self.type(node)
            case ast.BinOp(op=ast.BitOr()):
                return self.type(node)
            case ast.Tuple(elts=items):
                return tuple(self.value(item) for item in items)
            case ast.List(elts=items):
                return [self.value(item) for item in items]
            case ast.Dict(keys=keys, values=values):
                return {self.value(k): self.value(v) for k, v in zip(keys, values, strict=True) if k is not None}
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._apply(lambda: -self.value(operand))
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() as operator, right=right):
                return self._arithmetic(self.value(left), operator, self.value(right))
            case ast.Call(func=function, args=positional, keywords=keywords):
                return self._call(function, positional, keywords)
            case ast.Name() | ast.Attribute():
                return self._name(node, as_type=False)
        raise NotStaticError(f"{self.source.name}: {ast.unparse(node)}")

    def origin(self, node: ast.expr) -> tuple[str, str | None]:
        """(module, attribute) that a possibly dotted name refers to; attribute None if it is a module."""
        if isinstance(node, ast.Attribute):
            module, attribute = self.origin(node.value)
            return (module, node.attr) if attribute is None else (f"{module}.{attribute}", node.attr)
        if not isinstance(node, ast.Name):
            return "", None
        match self.source.bindings.get(node.id):
            case Imported(module=module, attribute=attribute):
                return module, attribute
            case None:
                return "builtins", node.id
        return self.source.name, node.id

    def _name(self, node: ast.Name | ast.Attribute, *, as_type: bool) -> Any:
        module, attribute = self.origin(node)
        top = module.split(".")[0]
        if module == "builtins" and (attribute in _TYPES):
            return getattr(builtins, str(attribute))
        if module in _PLAIN_MODULES and attribute is not None:
            return self._apply(lambda: getattr(importlib.import_module(module), attribute))
        if attribute is None or module in ("", "builtins") or top in sys.stdlib_module_names | FOREIGN:
            raise NotStaticError(f"{self.source.name}: {ast.unparse(node)}")
        source = self.source if module == self.source.name else read(module)
        match source.bindings.get(attribute):
            case ast.expr() as expression:
                scope = Evaluator(source, self.depth + 1)
                return scope.type(expression) if as_type else scope.value(expression)
            case Imported():
                return Evaluator(source, self.depth + 1)._name(ast.Name(attribute), as_type=as_type)
        raise NotStaticError(f"{source.name}: {attribute}")

    def _call(self, function: ast.expr, positional: list[ast.expr], keywords: list[ast.keyword]) -> Any:
        module, attribute = self.origin(function)
        if (module, attribute) == ("builtins", "float"):
            target: Any = float
        elif module in ("annotated_types", "pydantic", "pathlib", "fractions"):
            target = self._name(function, as_type=False) if isinstance(function, ast.Name | ast.Attribute) else None
        else:
            raise NotStaticError(f"{self.source.name}: {ast.unparse(function)}(...)")
        named = {k.arg: self.value(k.value) for k in keywords if k.arg}
        return self._apply(lambda: target(*(self.value(item) for item in positional), **named))

    def _arithmetic(self, left: Any, operator: ast.operator, right: Any) -> Any:
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise NotStaticError(f"{self.source.name}: arithmetic on {type(left).__name__}")
        match operator:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
        return self._apply(lambda: left / right)

    def _apply(self, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except (NotStaticError, ModuleMissingError):
            raise
        except Exception as error:  # the source has no meaning here; importing the module gives the better message
            raise NotStaticError(f"{self.source.name}: {error}") from error
