"""The reference of what is public in Python, from the text of its source: signatures and docstrings."""

import ast
from dataclasses import dataclass
from functools import cache
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
    """A section for each public function and class of `rbench`; what a function returns follows it, unless it has been shown already."""
    names = sorted(
        (name for name in rbench.__all__ if not name.startswith("__")), key=lambda name: (name[0].isupper(), name)
    )
    shown = {name for name in names if name[0].isupper()}
    return "\n\n".join(section for name in names for section in _sections("rbench", name, shown))


def for_tests() -> str:
    """The same for `rbench.testing`, and the fixture of pytest."""
    parts = [section for name in sorted(testing.__all__) for section in _sections("rbench.testing", name, set())]
    fixture = found("rbench.testing.pytest_plugin", "rbench_check")
    return "\n\n".join(
        [*parts, "## rbench_check", "A fixture of pytest, there wherever rbench is installed.", _doc(fixture.node)]
    )


def _sections(package: str, name: str, shown: set[str]) -> list[str]:
    """The sections of a name; classes that it shows join those that have been shown."""
    one = found(package, name)
    parts = [f"## {package}.{name}", _shown(one.node), _doc(one.node)]
    if isinstance(one.node, ast.ClassDef):
        parts += _members(one.node)
    returned = one.node.returns if isinstance(one.node, ast.FunctionDef) else None
    if isinstance(returned, ast.Name) and returned.id not in shown and (result := _class(one.module, returned.id)):
        shown.add(result.name)
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
        if isinstance(node, ast.ImportFrom) and _brings(node, name):
            return found(str(node.module), name)
    raise LookupError(f"{module} has no {name}")


def _brings(node: ast.ImportFrom, name: str) -> bool:
    """Whether an import takes a name, which is no module, from a module of rbench."""
    module = node.module or ""
    return (
        any((one.asname or one.name) == name == one.name for one in node.names)
        and bool(_file(module))
        and not _file(f"{module}.{name}")
    )


def _class(module: str, name: str) -> ast.ClassDef | None:
    try:
        node = found(module, name).node
    except LookupError:  # a class of Python or of a library
        return None
    return node if isinstance(node, ast.ClassDef) else None


def _file(module: str) -> Path | None:
    """The file of a module of rbench, found without importing what it is in; None if there is none."""
    first, *rest = module.split(".")
    path = Path(rbench.__path__[0]).joinpath(*rest)
    files = (path.with_suffix(".py"), path / "__init__.py") if first == "rbench" else ()
    return next((file for file in files if file.is_file()), None)


@cache
def _tree(module: str) -> ast.Module:
    file = _file(module)
    if file is None:
        raise LookupError(f"{module} is no module of rbench")
    return ast.parse(file.read_text(encoding="utf-8"))


def _shown(node: _Definition) -> str:
    if isinstance(node, ast.ClassDef):
        return ""
    given, lines = node.args, list[str]()
    plain = len(given.posonlyargs) + len(given.args) - len(given.defaults)
    defaults: list[ast.expr | None] = [*[None] * plain, *given.defaults]
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
