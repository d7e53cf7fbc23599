"""The version of a component: a hash of what its code computes, read from source text and never imported.

Equal versions compute the same. Comments, docstrings, layout, the names that imports are given and the places of files change nothing;
every module of the same distribution that the component's module imports counts, however far down.
"""

import ast
import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from rbench.signature.source import (
    Import,
    NotStaticError,
    Source,
    exists,
    file_of,
    is_type_checking,
    read,
)

DIGITS = 12
"""Hex digits of the sha256 that are kept."""

JUDGED = frozenset(
    f"rbench.{room}"
    for room in (
        *("threat", "engine", "results", "suite", "signature", "registry", "errors", "bundled_files", "first_look"),
        *("running", "verifying", "fit", "theory", "reports", "api", "cli", "testing", "offline"),
    )
)
"""Packages that every component may import and that are part of no component's version: `JUDGE_VERSION` (rbench/suite/cell.py)
is increased when a change there may change a verdict."""

_SILENT = frozenset({"ctx", "type_comment", "kind"})
"""Fields of a syntax tree that change nothing that is computed."""

Owned = Callable[[str], bool]
"""Whether a top-level module or package belongs to the distribution."""

_Name = tuple[str]
"""A name that an import binds, as the module writes it."""


def source_version(module: str, owned: Owned) -> str:
    """First 12 hex digits of the sha256 of what a module and the modules of its distribution that it imports compute.

    Imports inside functions count, those under `if TYPE_CHECKING` do not. A parent package counts where it is imported by name.

    Args:
        module: dotted name, e.g. that of an entry point.
        owned: whether a top-level module or package belongs to the same distribution.

    Raises:
        ModuleMissingError: the module, or a parent of it, is not there.
    """
    digests = {_digest(name, owned) for name in modules_of(module, owned)}
    return _sha256("\n".join(sorted(filter(None, digests))))[:DIGITS]


def text_version(text: str) -> str:
    """The version of Python code that stands in no module, such as that of a cell of a notebook.

    Raises:
        SyntaxError: it is none.
    """
    return _sha256("".join(map(str, _walk(ast.parse(text).body, set()))))[:DIGITS]


def joined_version(own: str, others: Sequence[str]) -> str:
    """The version of a component that uses others, from its own and theirs; its own where it uses none."""
    return _sha256(" ".join([own, *others]))[:DIGITS] if others else own


def modules_of(module: str, owned: Owned) -> set[str]:
    """The module, and those of its distribution that it imports, directly or through others.

    Args:
        module: dotted name.
        owned: whether a top-level module or package belongs to the same distribution.
    """
    reached, waiting = {module}, [module]
    while waiting:
        source = _source(waiting.pop())
        for imported in source.imports if source else ():
            target = _target(imported, owned)
            if target is not None and target not in reached:
                reached.add(target)
                waiting.append(target)
    return reached


def _target(imported: Import, owned: Owned) -> str | None:
    """The module that an import reads; None if it is of another distribution, in `JUDGED`, or not there."""
    if not owned(imported.module.partition(".")[0]) or _is_judged(imported.module):
        return None
    inner = f"{imported.module}.{imported.attribute}"
    if imported.attribute is not None and not _is_judged(inner) and exists(inner):
        return inner
    return imported.module if exists(imported.module) else None


def _is_judged(name: str) -> bool:
    return ".".join(name.split(".")[:2]) in JUDGED


def _digest(name: str, owned: Owned) -> str | None:
    """The hash of what one module computes; None if that is nothing, as for a package that only imports its parts."""
    source = _source(name)
    if source is None:
        return _raw(name)
    meanings: dict[str, set[str]] = {}
    for imported in source.imports:
        meanings.setdefault(imported.local, set()).add(_meaning(imported, owned))
    texts = (
        part if isinstance(part, str) else f"[{' or '.join(sorted(meanings[part[0]]))}]" for part in _outline(name)
    )
    text = "".join(texts)
    return _sha256(text) if text else None


def _meaning(imported: Import, owned: Owned) -> str:
    """What an imported name refers to, without the place of its module in the distribution."""
    target = _target(imported, owned)
    if target is not None:
        return f"{imported.attribute if target == imported.module else None} of {_rough(target)}"
    if _is_judged(imported.module):
        return str(imported.attribute)
    return f"{imported.attribute} of {imported.module}"


def _rough(name: str) -> str:
    """A hash of a module in place of its name. Imported names are left out, or modules that import each other would have no end."""
    if _source(name) is None:
        return _raw(name)
    return _sha256("".join(part if isinstance(part, str) else "[]" for part in _outline(name)))


def _raw(name: str) -> str:
    """The hash of the bytes of a module that is compiled, or no Python of this version."""
    path = file_of(name)
    return hashlib.sha256(path.read_bytes() if path else name.encode()).hexdigest()


def _source(name: str) -> Source | None:
    """A module whose text can be parsed; None if there is no such text."""
    try:
        source = read(name)
        return source if source.tree else None
    except NotStaticError:
        return None


@cache
def _outline(name: str) -> tuple[str | _Name, ...]:
    """The syntax tree of a module as text, imported names apart, silent parts left out. So are empty fields: newer Pythons have more."""
    source = read(name)
    return tuple(_walk(source.tree.body, {imported.local for imported in source.imports}))


def _walk(node: object, imported: set[str]) -> Iterator[str | _Name]:
    if isinstance(node, ast.Name) and node.id in imported:
        yield (node.id,)
    elif isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for name in node._fields:
            value = getattr(node, name, None)
            if name not in _SILENT and value is not None and value != []:
                yield f" {name} "
                yield from _walk(value, imported)
        yield ")"
    elif isinstance(node, list):
        for item in node:
            if not _is_silent(item):
                yield from _walk(item, imported)
    else:
        yield f"{type(node).__name__} {node!r}"


def _is_silent(node: object) -> bool:
    """Whether a statement is left out: imports, which are followed instead; docstrings and other bare constants; `if TYPE_CHECKING`."""
    if isinstance(node, ast.If):
        return is_type_checking(node.test) and not node.orelse
    bare = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return bare or isinstance(node, ast.Import | ast.ImportFrom)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
