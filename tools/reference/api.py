"""The reference of what is public in Python, from the text of its source: signatures and docstrings."""

import ast
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import rbench
from rbench import testing
from tools.reference.docstrings import markdown

_Definition = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Found:
    """Where a name is defined.

    Attributes:
        module: the module.
        node: its definition there.
    """

    module: str
    node: _Definition


def api() -> str:
    """A section for each public function of `rbench`, each followed by the class of what it returns."""
    names = sorted(name for name in rbench.__all__ if not name.startswith("__"))
    return "\n\n".join(section for name in names for section in _sections("rbench", name))


def for_tests() -> str:
    """The same for `rbench.testing`, and the fixture of pytest."""
    parts = [section for name in sorted(testing.__all__) for section in _sections("rbench.testing", name)]
    fixture = found("rbench.testing.pytest_plugin", "rbench_check")
    return "\n\n".join(
        [*parts, "## rbench_check", "A fixture of pytest, there wherever rbench is installed.", _doc(fixture.node)]
    )


def _sections(package: str, name: str) -> list[str]:
    one = found(package, name)
    parts = [f"## {package}.{name}", _shown(one.node), _doc(one.node)]
    returned = one.node.returns if isinstance(one.node, ast.FunctionDef) else None
    if isinstance(returned, ast.Name) and (result := _class(one.module, returned.id)):
        parts += [f"### {result.name}", _doc(result), *_members(result)]
    return list(filter(None, parts))


def found(module: str, name: str) -> Found:
    """The definition of a name, wherever the module has it from.

    Raises:
        LookupError: the module neither defines nor imports it.
    """
    for node in ast.walk(_tree(module)):
        if isinstance(node, _Definition) and node.name == name and not name.startswith("_"):
            return Found(module, node)
        if isinstance(node, ast.ImportFrom) and node.module and any(alias.name == name for alias in node.names):
            deeper = f"{node.module}.{name}"
            if find_spec(node.module) and not _is_module(deeper):
                return found(node.module, name)
    raise LookupError(f"{module} has no {name}")


def _class(module: str, name: str) -> ast.ClassDef | None:
    try:
        node = found(module, name).node
    except LookupError:  # a class of Python or of a library
        return None
    return node if isinstance(node, ast.ClassDef) else None


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _tree(module: str) -> ast.Module:
    spec = find_spec(module)
    if spec is None or spec.origin is None or not module.startswith("rbench"):
        raise LookupError(module)
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _shown(node: _Definition) -> str:
    if isinstance(node, ast.ClassDef):
        return ""
    given, lines = node.args, list[str]()
    defaults = [None] * (len(given.posonlyargs) + len(given.args) - len(given.defaults)) + list(given.defaults)
    for place, (one, default) in enumerate(zip([*given.posonlyargs, *given.args], defaults, strict=True)):
        lines.append(_argument(one, default))
        if place == len(given.posonlyargs) - 1:
            lines.append("/")
    if given.vararg:
        lines.append(f"*{_argument(given.vararg, None)}")
    elif given.kwonlyargs:
        lines.append("*")
    lines += [_argument(one, default) for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    if given.kwarg:
        lines.append(f"**{_argument(given.kwarg, None)}")
    returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    body = "".join(f"    {line},\n" for line in lines)
    return f"```text\n{node.name}(\n{body}){returned}\n```" if lines else f"```text\n{node.name}(){returned}\n```"


def _argument(one: ast.arg, default: ast.expr | None) -> str:
    kind = f": {ast.unparse(one.annotation)}" if one.annotation else ""
    equals = " = " if kind else "="
    return f"{one.arg}{kind}" + (f"{equals}{ast.unparse(default)}" if default is not None else "")


def _doc(node: _Definition) -> str:
    return markdown(ast.get_docstring(node) or "")


def _members(node: ast.ClassDef) -> list[str]:
    """Methods and properties that are public."""
    own = [one for one in node.body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")]
    lines = []
    for one in own:
        call = "" if any(ast.unparse(mark) in ("property", "cached_property") for mark in one.decorator_list) else "()"
        lines.append(f"- `{one.name}{call}`: {(ast.get_docstring(one) or '').partition(chr(10))[0]}")
    return ["**properties and methods**", "\n".join(lines)] if lines else []
