"""Names that a library registers, read from its source text: plans need not wait until it and torch are imported."""

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_REGISTERED = re.compile(r"^@register_model\b(?:.|\n)*?^def (\w+)\(", re.MULTILINE)
_PUBLISHED = re.compile(r"""^[ \t]+['"](\w+\.[\w.]+)\*?['"]\s*:\s*_\w*cfg\w*\(""", re.MULTILINE)


def folder_of(package: str) -> Path:
    """The folder of an installed package.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return Path(spec.origin).parent


@cache
def registered(folder: Path) -> tuple[str, ...]:
    """Functions decorated with `register_model` in the modules of a folder, sorted."""
    return tuple(sorted({name for text in _texts(folder) for name in _REGISTERED.findall(text)}))


@cache
def published(folder: Path) -> tuple[str, ...]:
    """`model.tag` of the weights that the modules of a folder list as timm does, sorted."""
    return tuple(sorted({name for text in _texts(folder) for name in _PUBLISHED.findall(text)}))


def defining(folder: Path, function: str) -> str | None:
    """The text of the module of a folder that defines a function; None if there is none."""
    return next((text for text in _texts(folder) if f"\ndef {function}(" in text), None)


def _texts(folder: Path) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))]


@cache
def tagged(path: Path, name: str) -> tuple[str, ...]:
    """`model/tag` of a map of models to `dict(tag=...)` that a module writes out, in its order.

    Args:
        path: of the module.
        name: of the map; what it fills in later is not found.
    """
    tags: dict[str, list[str]] = {}
    found: list[str] = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        if isinstance(node.value, ast.Call):
            tags[node.targets[0].id] = _keywords(node.value)
        elif isinstance(node.value, ast.Dict) and node.targets[0].id == name:
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                own = tags.get(value.id, []) if isinstance(value, ast.Name) else _keywords(value)
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    found += [f"{key.value}/{tag}" for tag in own]
    return tuple(found)


def _keywords(node: ast.expr) -> list[str]:
    return [word.arg for word in node.keywords if word.arg] if isinstance(node, ast.Call) else []
