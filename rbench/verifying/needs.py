"""What somebody needs who verifies results: the packages of their plug-ins, and the user's own code, as records name them. No torch.

All of it is what the records claim. A package is named by its name alone, never by an address, and installing it runs its code.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

from rbench import elsewhere
from rbench.elsewhere import located_code, parted
from rbench.errors import InputError, MissingError, RbenchError
from rbench.harmless import NAME, harmless
from rbench.own_code import PREFIX
from rbench.registry import registry, split_name
from rbench.registry.own import BROUGHT
from rbench.results.corrupted_runs import CorruptedFolder
from rbench.results.store import RunFolder
from rbench.suite.places import texts

OURS = "rbench"
_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.!+_-]{0,98}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KINDS = ("dataset", "backbone", "purifier", "attack")


@dataclass(frozen=True)
class PlugIn:
    """A component that another package than rbench brought.

    Attributes:
        kind: `purifier`, ...
        name: in suites, without its item.
        distribution: that brought it, as the cell says.
        version: of that, as a record says; None where none does.
    """

    kind: str
    name: str
    distribution: str
    version: str | None

    @property
    def needed(self) -> str:
        """What to install: `small-unet 0.3 (pip install small-unet==0.3)`; nothing to type where a name is none of a package."""
        shown = harmless(self.distribution, NAME) + ("" if self.version is None else f" {harmless(self.version, NAME)}")
        if not _DISTRIBUTION.fullmatch(self.distribution):
            return f"{shown} (no name of a package)"
        exact = f"=={self.version}" if self.version and _VERSION.fullmatch(self.version) else ""
        return f"{shown} (pip install {self.distribution}{exact})"


@dataclass(frozen=True)
class Brought:
    """What the cells and records of a folder say of code.

    Attributes:
        plug_ins: components of other packages, each once.
        code: sha256 of the files of the user's own code, by name.
    """

    plug_ins: tuple[PlugIn, ...]
    code: Mapping[str, str]


def brought(folder: RunFolder) -> Brought:
    """Reads it from the cells and records of a run folder; what cannot be read says nothing."""
    versions, code, documents = dict[str, str](), dict[str, str](), list[Mapping[str, Any]]()
    for path in folder.record_paths():
        try:
            record = folder.read_record(path.stem)
        except InputError:
            continue
        if record is not None:
            versions |= _texts(record.provenance.get("distributions"))
            code |= {n: s for n, s in _texts(record.provenance.get("code")).items() if _SHA256.fullmatch(s)}
            documents.append(record.cell)
    for read in (folder.read_cells, CorruptedFolder(folder.root).read_plan):
        with suppress(InputError):
            documents += read() or []
    found = {}
    for kind, part in _parts(documents):
        name, whole = str(part.get("name")), str(part.get("version"))
        distribution = whole.rpartition("+")[0]
        if distribution and distribution != OURS and split_name(name)[0] != PREFIX:
            found[kind, split_name(name)[0]] = PlugIn(
                kind, split_name(name)[0], distribution, versions.get(distribution)
            )
    return Brought(tuple(found[key] for key in sorted(found)), dict(sorted(code.items())))


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {str(name): one for name, one in value.items() if isinstance(one, str) and one != BROUGHT}


def _parts(documents: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for document in documents:
        for kind in _KINDS:
            part = document.get(kind)
            if isinstance(part, Mapping):
                yield kind, part
                if isinstance(stand_in := part.get("stand_in"), Mapping):
                    yield "purifier", stand_in


def require_plug_ins(said: Brought, place: object) -> list[str]:
    """Refuses results whose plug-ins are not installed, by the names of their packages.

    Args:
        said: of the results.
        place: of the results, for messages.

    Returns:
        A line for each plug-in of which another version is here.

    Raises:
        MissingError: one is not installed.
    """
    missing, notes = dict[str, list[PlugIn]](), list[str]()
    for one in said.plug_ins:
        here = _version(one.distribution)
        if not _is_known(one) and here is None:
            missing.setdefault(one.needed, []).append(one)
        elif here is not None and one.version is not None and here != one.version:
            versions = f"{harmless(one.distribution, NAME)} {harmless(one.version, NAME)}; {here} is installed"
            notes.append(f"{one.kind} {harmless(repr(one.name), NAME)} was run with {versions}")
    if missing:
        names = ", ".join(f"{one.kind} {harmless(repr(one.name), NAME)}" for ones in missing.values() for one in ones)
        raise MissingError(
            f"needs {', '.join(missing)}, so its records say of {names}.",
            place=place,
            remedy="It is not installed, and installing it runs its code: know where it comes from.",
        )
    return notes


def _is_known(one: PlugIn) -> bool:
    try:
        return registry(one.kind).get(one.name) is not None
    except RbenchError:
        return False


def _version(distribution: str) -> str | None:
    if not _DISTRIBUTION.fullmatch(distribution):
        return None
    try:
        return metadata.version(distribution)
    except (metadata.PackageNotFoundError, ValueError, OSError):
        return None


def find_code(document: Any, said: Brought, folders: Sequence[Path], place: object) -> list[str]:
    """Looks for the files of the user's own code that a suite names, first where it says, then by their names.

    Args:
        document: the suite.
        said: of the results.
        folders: of the user, where they may lie; none of them came with the results.
        place: of the results, for messages.

    Returns:
        A line for each file that is another one than that of the records.

    Raises:
        MissingError: one is nowhere; names it with its sha256.
    """
    notes, parents = list[str](), set[Path]()
    for text in dict.fromkeys(texts(document)):
        prefix, given = parted(text)
        file = given.rpartition(":")[0]
        if prefix != f"{PREFIX}:" or not file.endswith(".py"):
            continue
        name = PurePath(file).name
        sha256 = said.code.get(name)
        if not _is_file(Path(located_code(file))):
            there = [folder / name for folder in folders if _is_file(folder / name)]
            if not there:
                raise _lacking(name, sha256, place)
            elsewhere.code_is_at(file, there[0].absolute())
        parents.add(Path(located_code(file)).absolute().parent)
    if not parents:
        return []
    for name, sha256 in said.code.items():
        found = [parent / name for parent in sorted(parents) if is_name(name) and _is_file(parent / name)]
        if is_name(name) and not found:
            raise _lacking(name, sha256, place)
        if found and hashlib.sha256(found[0].read_bytes()).hexdigest() != sha256:
            notes.append(f"{harmless(name, NAME)} is not the file of the records (sha256 {sha256})")
    return notes


def is_name(name: str) -> bool:
    """Whether it is the name of a file that lies beside others, and no path."""
    return name.endswith(".py") and PurePath(name).name == name and "\\" not in name


def _lacking(name: str, sha256: str | None, place: object) -> MissingError:
    hashed = f" (sha256 {sha256})" if sha256 else ""
    return MissingError(
        f"needs {harmless(name, NAME)}{hashed}, so its records say: code of its author's own, which no results bring.",
        place=place,
        remedy="Put the file into the current folder and read it, then add --trust.",
    )


def code_told(said: Brought) -> str:
    """The files of the user's own code as records name them, for a message; empty where there are none."""
    listed = ", ".join(f"{harmless(name, NAME)} (sha256 {sha256})" for name, sha256 in said.code.items())
    return f" Its records name {listed}." if listed else ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
