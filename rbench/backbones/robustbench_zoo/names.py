"""The models of RobustBench's zoo, read from the source text of the installed library: nothing of it is imported."""

import ast
import base64
import difflib
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from rbench.errors import InputError, MissingError

Data = Literal["cifar10", "cifar100", "imagenet"]
Threat = Literal["Linf", "L2", "corruptions"]

INSTALL = "pip install 'rbench[robustbench]'"
_AGAIN = "pip install --force-reinstall --no-deps robustbench"
_PACKAGE, _LISTED = "robustbench", 3
_OTHER = "its model zoo is laid out in another way than that of version 1.1.1"


@dataclass(frozen=True)
class ZooModel:
    """A model of the zoo.

    Attributes:
        name: as RobustBench writes it.
        addresses: the ids on Google Drive of its files of weights; empty where the zoo leaves them to another library.
        several: whether it is several networks, of which each has a file.
    """

    name: str
    addresses: tuple[str, ...]
    several: bool

    @property
    def file_names(self) -> tuple[str, ...]:
        """What RobustBench calls its files."""
        whole = f"{self.name}.pt"
        return tuple(f"{whole}_m{i}.pt" for i in range(len(self.addresses))) if self.several else (whole,)


def installed() -> Path | None:
    """The folder of the library; None without it. torchattacks ships a copy of an older one, which does not count."""
    try:
        distribution(_PACKAGE)
        spec = find_spec(_PACKAGE)
    except (PackageNotFoundError, ValueError):  # ValueError: somebody's stand-in that has no spec
        return None
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def require_installed() -> Path:
    """The folder of the library.

    Raises:
        MissingError: it is not installed, or another package has written over it.
    """
    folder = installed()
    if folder is None:
        raise MissingError("needs robustbench", component="backbone 'robustbench'", remedy=INSTALL)
    if changed := _overwritten(folder):
        problem = "is not the file that robustbench brought; torchattacks writes a copy of an older one over it"
        raise MissingError(problem, component="backbone 'robustbench'", place=changed, remedy=_AGAIN)
    return folder


def model(name: str, dataset: Data, threat: Threat) -> ZooModel:
    """A model by its name.

    Raises:
        InputError: there is none of this name; the error has the nearest, or where this one is.
        MissingError: the library is not installed, or cannot be read.
    """
    zoo = models(dataset, threat)
    if name in zoo:
        return zoo[name]
    component = f"backbone 'robustbench:{name}'"
    problem = f"RobustBench has no model {name!r} for {dataset} and {threat}."
    raise InputError(problem, component=component, remedy=_advice(name, zoo))


def models(dataset: Data, threat: Threat) -> dict[str, ZooModel]:
    """The models for a data set and a threat, by name.

    Raises:
        MissingError: the library is not installed, or cannot be read.
    """
    return _zoo(require_installed()).get((dataset, threat), {})


def everything() -> tuple[str, ...]:
    """The names of all models, sorted.

    Raises:
        MissingError: the library is not installed, or cannot be read.
    """
    return tuple(sorted({name for known in _zoo(require_installed()).values() for name in known}))


def trained_for(name: str) -> list[tuple[str, str]]:
    """The data sets and threats that the zoo has a model of this name for.

    Raises:
        MissingError: the library is not installed, or cannot be read.
    """
    return [place for place, known in _zoo(require_installed()).items() if name in known]


def _advice(name: str, zoo: dict[str, ZooModel]) -> str:
    elsewhere = trained_for(name)
    if elsewhere:
        return f"It is there for dataset: {elsewhere[0][0]}, threat: {elsewhere[0][1]}."
    plain = {known.casefold(): known for known in zoo}
    close = difflib.get_close_matches(name.casefold(), plain, n=_LISTED, cutoff=0.4)
    if close:
        return f"Close: {', '.join(plain[one] for one in close)}."
    return f"It has {', '.join(list(zoo)[:_LISTED])}, ..." if zoo else "It has none."


@cache
def _zoo(folder: Path) -> dict[tuple[str, str], dict[str, ZooModel]]:
    found: dict[tuple[str, str], dict[str, ZooModel]] = {}
    for data in ("cifar10", "cifar100", "imagenet"):
        path = folder / "model_zoo" / f"{data}.py"
        try:
            found |= {(data, threat): known for threat, known in _tables(path.read_text("utf-8")).items()}
        except (OSError, SyntaxError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise MissingError(_OTHER, component="backbone 'robustbench'", place=path, remedy=_AGAIN) from error
    return found


def _tables(text: str) -> dict[str, dict[str, ZooModel]]:
    """By threat: the tables that a module of the zoo joins in its last one, `OrderedDict([(ThreatModel.Linf, linf), ...])`."""
    bound = {
        target.id: node.value
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    (joined,) = (value for name, value in bound.items() if name.endswith("_models"))
    return {threat.attr: _table(bound[table.id]) for threat, table in _pairs(joined)}  # type: ignore[attr-defined]


def _table(node: ast.expr) -> dict[str, ZooModel]:
    return {name.value: _model(name.value, entry) for name, entry in _pairs(node)}  # type: ignore[attr-defined]


def _model(name: str, entry: ast.expr) -> ZooModel:
    if not isinstance(entry, ast.Dict):
        raise TypeError(name)
    fields = {key.value: value for key, value in zip(entry.keys, entry.values, strict=True)}  # type: ignore[union-attr]
    address = ast.literal_eval(fields["gdrive_id"])
    several = isinstance(address, list)
    return ZooModel(name, tuple(address) if several else tuple(one for one in [address] if one), several)


def _pairs(node: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """The pairs of `OrderedDict([(a, b), ...])`."""
    pairs: list[ast.expr] = node.args[0].elts  # type: ignore[attr-defined]
    return [(pair.elts[0], pair.elts[1]) for pair in pairs]  # type: ignore[attr-defined]


@cache
def _overwritten(folder: Path) -> Path | None:
    """The first module of the zoo whose bytes are not those that the library says it brought; None where it does not say."""
    brought = distribution(_PACKAGE)
    for file in brought.files or ():
        if file.hash is None or file.hash.mode != "sha256" or "model_zoo" not in file.parts or file.suffix != ".py":
            continue
        path = folder.parent.joinpath(*file.parts)
        digest = hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
            return path
    return None
