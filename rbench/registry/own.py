"""Code of the user's own as a component: `python:my_unet.py:SmallUNet` or `python:my_pkg.nets:SmallUNet`.

Described from its text; run only where its user has said that it may, and only as it was then.
"""

import ast
import hashlib
import re
import sys
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType

from rbench.elsewhere import located_code
from rbench.errors import InputError
from rbench.harmless import STORED, one_line
from rbench.own_code import PREFIX, add_file, add_folder, known
from rbench.registry.component import Component
from rbench.signature import Signature, nearest
from rbench.signature.distribution import beside
from rbench.signature.source import ModuleMissingError, NotStaticError, Source, file_of, read
from rbench.signature.version import modules_of, source_version

OWN_KINDS = ("purifier", "backbone", "dataset", "attack")
"""The kinds that suites may fill with code of the user's own."""
BROUGHT = "own code"
"""In the place of the version of a distribution."""
WRITTEN = f"Write {PREFIX}:FILE.py:NAME or {PREFIX}:PACKAGE.MODULE:NAME."
TRUST = "Read it, then add --trust (trust=True in Python)"
_SIGNS = ("cells.jsonl", "points.jsonl")
"""Files by which a folder is known as one of results."""
_SEPARATORS = re.compile(r"[/\\]")


@dataclass(frozen=True)
class OwnComponent(Component):
    """A class or function of a file, or of a module that no entry point names.

    Attributes:
        given: what the suite has after `python:`.
        file: with the code, links followed; None for a package without any.
    """

    given: str = ""
    file: Path | None = field(default=None, compare=False)

    needs_trust = True

    @property
    def place(self) -> str:
        """The file or module, and the name in it."""
        return self.given

    def split(self, name: str) -> tuple[str, str | None]:
        """The whole name: nothing of it is an item."""
        return name, None

    @cached_property
    def source_version(self) -> str:
        """The hash of what its module and those beside it that it imports compute, as 12 hex digits."""
        with self.blamed("import"):
            return source_version(self.module, beside(self.module))

    @cached_property
    def modules(self) -> tuple[str, ...]:
        """Its module, and those of the user that this imports."""
        with self.blamed("import"):
            return tuple(sorted(modules_of(self.module, beside(self.module))))

    def hashes(self) -> dict[str, str]:
        """The sha256 of each file with its code, by the file's name; those of a package by their place in it.

        Raises:
            InputError: a file is not there any more.
        """
        names = {name: file_of(name) for name in self.modules}
        return {
            file.name if file == self.file else "/".join([*name.split(".")[:-1], file.name]): _sha256(file)
            for name, file in names.items()
            if file is not None
        }

    def has_hook(self, name: str) -> bool:
        """Whether its text has such a hook."""
        return self._source is not None and name in self._source.bindings

    def _signature(self, rest: str | None) -> Signature:
        return without_item(super()._signature(rest))

    def _imported(self, module: str) -> ModuleType:
        self._require_trust()
        imported = super()._imported(module)
        self._require_hashed()
        return imported

    def _require_trust(self) -> None:
        trusted = known().trusted.get(self.given)
        if trusted is None:
            raise self._wrong(InputError, "runs with all your rights, and only if you say so.", f"{TRUST}.")
        if trusted != self.source_version:
            remedy = "Nothing of the change was run. Run again."
            raise self._wrong(InputError, "has changed since it was trusted.", remedy)

    def _require_hashed(self) -> None:
        """Refuses what another module stands in for: the version would be that of code which is not run."""
        for name in self.modules:
            file, here = file_of(name), getattr(sys.modules.get(name), "__file__", None)
            if file is not None and here is not None and file.resolve() != Path(here).resolve():
                problem = f"imports {name!r}, which this process has of another place already ({Path(here).name})."
                raise self._wrong(InputError, problem, "Rename the file, or begin a new process.")


def _sha256(file: Path) -> str:
    try:
        content = file.open("rb")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", place=file.name) from None
    with content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def without_item(signature: Signature) -> Signature:
    """The signature of a component whose name has no item: all parameters are given by keyword."""
    return replace(signature, parameters=tuple(replace(p, positional=False) for p in signature.parameters))


def public_name(name: str) -> str:
    """A name as records and tables have it: of the path of a file of the user's own only the last part; any other name as it is."""
    prefix, _, given = name.partition(":")
    if prefix != PREFIX:
        return name
    place, colon, attribute = given.rpartition(":")
    return f"{PREFIX}:{_SEPARATORS.split(place)[-1]}{colon}{attribute}"


def usual_label(name: str) -> str:
    """What tables call a component that has no label: code of the user's own by its class or function, any other by its name."""
    prefix, _, given = name.partition(":")
    attribute = given.rpartition(":")[2]
    return attribute if prefix == PREFIX and attribute else public_name(name)


def own_component(kind: str, given: str | None) -> OwnComponent:
    """The component that a suite names by its code; neither imported nor trusted.

    Args:
        kind: one of `OWN_KINDS`.
        given: what stands after `python:`. A relative path begins in the current folder, as that of every other file does.

    Raises:
        InputError: it is no file or module with such a name in it, or lies in a folder of results.
    """
    text = given or ""
    place, _, attribute = text.rpartition(":")
    try:
        if not place or not attribute.isidentifier():
            raise InputError(f"no name of a class or function in {text!r}.", remedy=written(text))
        module, file = _of_file(place) if _is_file(place) else _of_module(place)
        _require_name(module, attribute, place)
    except InputError as error:
        raise error.at(component=f"{kind} '{public_name(f'{PREFIX}:{text}')}'") from error
    return _made(kind, text, module, file)


@cache
def _made(kind: str, given: str, module: str, file: Path | None) -> OwnComponent:
    name, (place, _, attribute) = public_name(f"{PREFIX}:{given}"), given.rpartition(":")
    brought = _SEPARATORS.split(place)[-1]
    return OwnComponent(kind, name, brought, BROUGHT, f"{module}:{attribute}", given=given, file=file)


def _is_file(place: str) -> bool:
    return place.endswith(".py") or bool(_SEPARATORS.search(place))


def _of_file(place: str) -> tuple[str, Path]:
    try:
        file = Path(located_code(place)).resolve()
        if file.is_file() and place.endswith(".py"):
            _refuse_results(file, place)
            return add_file(file, file.read_bytes()), file
        problem = "is a folder" if file.is_dir() else "is no .py file" if file.is_file() else "no such file"
    except (OSError, ValueError, RuntimeError) as error:  # no permission; a NUL in the name; links in a circle
        problem = f"cannot be read: {one_line(getattr(error, 'strerror', None) or error, STORED)}"
    raise InputError(f"{problem}: {place}.", remedy=_near(place) if problem == "no such file" else WRITTEN)


def _near(place: str) -> str:
    """The file beside that was meant, if one is close; else how such code is written."""
    parent = Path(place).parent
    try:
        close = nearest(Path(place).name, [path.name for path in parent.glob("*.py")])
    except (OSError, ValueError):
        close = []
    return f"Did you mean {str(parent / close[0])!r}?" if close else "A relative path begins in the current folder."


def _of_module(place: str) -> tuple[str, Path | None]:
    top = place.partition(".")[0]
    if not all(part.isidentifier() for part in place.split(".")):
        raise InputError(f"{place!r} is neither a .py file nor a module.", remedy=WRITTEN)
    if top in sys.stdlib_module_names or top == "rbench":
        owner = "rbench" if top == "rbench" else "Python"
        raise InputError(f"{place!r} is no code of yours: it comes with {owner}.", remedy=WRITTEN)
    here = Path.cwd().resolve()
    if (here / f"{top}.py").is_file() or (here / top).is_dir():
        _refuse_results(here / top, place)  # before imports find what lies there
        add_folder(here)
    try:
        file = file_of(place)
    except ModuleMissingError as error:
        raise InputError(f"{error}, neither in the current folder nor installed.", remedy=WRITTEN) from None
    except ImportError as error:
        raise InputError(f"{one_line(error, STORED)}.") from None
    if file is not None:
        _refuse_results(file.resolve(), place)
    return place, file


def _refuse_results(file: Path, place: str) -> None:
    """Refuses code that results bring: whoever made them may have made it for whoever reads them."""
    for folder in file.parents:
        whole = (folder / "suite.yaml").is_file() and (folder / "records").is_dir()
        if whole or any((folder / sign).is_file() for sign in _SIGNS):
            problem = f"{place} lies in a folder of results, whose code is never run."
            raise InputError(problem, remedy="Copy it to a folder of your own after reading it.")


def _require_name(module: str, attribute: str, place: str) -> None:
    """Refuses code that is no Python, or that has no such name as far as its text says."""
    try:
        source = read(module)
        bound = source.bindings
    except NotStaticError as error:
        if isinstance(error.__cause__, Exception):
            raise _no_python(place, error.__cause__) from None
        return  # compiled, without a text
    except (SyntaxError, ValueError, MemoryError) as error:
        raise _no_python(place, error) from None
    if attribute in bound or "*" in bound or "__getattr__" in bound:
        return
    there = definitions(source)
    close = nearest(attribute, there)
    listed = f"It has {', '.join(there[:9])}." if there else "It defines no class and no function."
    raise InputError(f"{place} has no {attribute!r}.", remedy=f"Did you mean {close[0]!r}?" if close else listed)


def _no_python(place: str, error: Exception) -> InputError:
    line = getattr(error, "lineno", None)
    where = f"{place}:{line}" if line else place
    return InputError(f"{where} is no Python: {one_line(getattr(error, 'msg', None) or error, STORED)}.")


def definitions(source: Source) -> list[str]:
    """The classes and functions that the text of a module defines, classes first."""
    found = [(name, node) for name, node in source.bindings.items() if not name.startswith("_")]
    classes = [name for name, node in found if isinstance(node, ast.ClassDef)]
    return [*classes, *(name for name, node in found if isinstance(node, ast.FunctionDef))]


def written(text: str) -> str:
    """How it is written, with the names of a file where that alone was given."""
    try:
        there = definitions(read(_of_file(text)[0])) if text.endswith(".py") else []
    except (InputError, NotStaticError, SyntaxError, ValueError):
        there = []
    return f"Write {PREFIX}:{text}:{there[0]}." if there else WRITTEN
