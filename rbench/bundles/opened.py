"""A bundle as a run folder: unpacked into a temporary folder, its files in the place of those that its suite names. No torch."""

import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from rbench import elsewhere
from rbench.bundles.archive import unpack
from rbench.bundles.manifest import Manifest
from rbench.elsewhere import KeptData
from rbench.errors import InputError
from rbench.harmless import NAME, STORED, harmless
from rbench.results.corrupted_runs import FOLDER as CORRUPTIONS
from rbench.results.files import writing

_CACHES = {"torch": "TORCH_HOME", "hub": "HF_HUB_CACHE"}
"""By the name of a cache in a bundle, the variable of its library."""


@dataclass(frozen=True)
class Opened:
    """A run folder, or a bundle as one.

    Attributes:
        root: the run folder.
        given: what the user named.
        manifest: of the bundle; None for a folder.
    """

    root: Path
    given: Path
    manifest: Manifest | None = None

    @property
    def beside(self) -> list[Path]:
        """The folder that the bundle lies in, where its reader may have put more files."""
        return [] if self.manifest is None else [self.given.absolute().parent]

    @property
    def claims(self) -> list[str]:
        """What a reader has to take the bundle's word for, one line each."""
        data = elsewhere.told().data
        if self.manifest is None:
            return []
        names = ", ".join(placed.text for placed in self.manifest.places)
        brought = [f"the bundle brings {harmless(names, STORED)}"] if names else []
        if data is None:
            return brought
        files = ", ".join(f"{harmless(name, NAME)} (sha256 {sha256})" for name, sha256 in data.files.items())
        return [
            *brought,
            f"the images are those of the bundle; that they are of {files or 'that data set'} is its claim, which --files DIR "
            "holds against the file",
        ]


@contextmanager
def opened(given: Path) -> Iterator[Opened]:
    """The run folder of a bundle for the time of the block; of a folder, that folder.

    Whatever is said of places of files in the block is forgotten after it.

    Args:
        given: a run folder or a bundle.

    Raises:
        InputError: it is no bundle; see `unpack`.
        WrongHash: something in it is not what its manifest says.
        MissingError: it cannot be unpacked.
    """
    before = deepcopy(elsewhere.told())
    try:
        if given.is_file():
            if not zipfile.is_zipfile(given):
                remedy = "Give the folder that `rbench run` wrote, such as runs/quickstart, or a bundle of one."
                raise InputError("neither a run folder nor a bundle", place=given, remedy=remedy)
            with writing(Path(tempfile.gettempdir())):
                temporary = tempfile.TemporaryDirectory(prefix="rbench-", ignore_cleanup_errors=True)
            with temporary as folder:
                root = Path(folder, "bundle")
                root.mkdir()
                manifest = unpack(given, root)
                if not any((root / records).is_dir() for records in ("records", CORRUPTIONS)):
                    raise InputError("a bundle without records", place=given)
                with _caches(root):
                    _say_places(root, manifest)
                    yield Opened(root, given, manifest)
        else:
            yield Opened(given, given)
    finally:
        elsewhere.take(before)


def _say_places(root: Path, manifest: Manifest) -> None:
    for placed in manifest.places:
        place = root / placed.member
        if placed.folder:
            place.mkdir(parents=True, exist_ok=True)
        if place.exists():
            elsewhere.is_at(placed.text, place)
    data = manifest.data
    if data.kept:
        elsewhere.told().data = KeptData(data.name, str(root / "data"), dict(data.files))


@contextmanager
def _caches(root: Path) -> Iterator[None]:
    """A block in which libraries find in the bundle what it has of their caches."""
    there = {name: root / "cache" / name for name in _CACHES if (root / "cache" / name).is_dir()}
    variables = {_CACHES[name]: str(folder) for name, folder in there.items()}
    before = {name: os.environ.get(name) for name in variables}
    hub: Any = sys.modules.get("huggingface_hub.constants")
    cache = getattr(hub, "HF_HUB_CACHE", None)
    os.environ.update(variables)
    if isinstance(hub, ModuleType) and "hub" in there:
        hub.HF_HUB_CACHE = str(there["hub"])  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if isinstance(hub, ModuleType) and "hub" in there:
            hub.HF_HUB_CACHE = cache  # type: ignore[attr-defined]
