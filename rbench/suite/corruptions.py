"""Common corruptions as a threat: their names, and the cells that a suite plans for them. Imports neither torch nor the library."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rbench.elsewhere import located
from rbench.errors import InputError, MissingError
from rbench.registry.requirements import installs
from rbench.signature.version import source_version
from rbench.suite.binding import BoundSuite
from rbench.suite.cell import JUDGE_VERSION, Cell, Decide, Eps, Part, Slice, Threat, id_of
from rbench.suite.files import digests
from rbench.suite.resolve import part_of, resolve_part
from rbench.suite.spec import SuiteSpec

CLEAN = "clean"
"""The cell of a row that judges its images as they are, on the same draws; its severity is 0."""
LIBRARY = "imagecorruptions-imaug"
_MODULE = "imagecorruptions"
_USUAL = Threat("Linf", Eps("8/255", Fraction(8, 255)))
"""The ball of the audit of a defended model where the suite has none; no figure depends on it."""


@dataclass(frozen=True)
class Corruption:
    """What is done to the images of a cell.

    Attributes:
        name: as suites write it, e.g. `gaussian-noise`, or `clean`.
        severity: from 1 to 5, ascending; 0 alone for `clean`.
        version: of the code that makes or reads the images.
        folder: where the corrupted images lie; None where they are made.
        files: sha256 of the files that they are read from, by name.
    """

    name: str
    severity: tuple[int, ...]
    version: str
    folder: Path | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Its part of a cell's content."""
        return {
            "kind": "corruption",
            "name": self.name,
            "severity": list(self.severity),
            "images": "made" if self.folder is None else "files",
            "version": self.version,
            "files": dict(self.files),
        }


@dataclass(frozen=True)
class CorruptedCell:
    """(dataset slice, backbone, purifier, corruption, protocol), everything resolved.

    Attributes:
        dataset: the clean images and their labels.
        slice: which of them.
        backbone: the classifier.
        purifier: what stands before it.
        corruption: what is done to the images.
        draws: of a random defence, for each image.
        decide: how draws become one value.
        seed: of all noise, that of the corruption among it.
        probe: a cell of the same defended model and samples, by which the model is loaded and audited; no part of the content.
    """

    dataset: Part
    slice: Slice
    backbone: Part
    purifier: Part
    corruption: Corruption
    draws: int
    decide: Decide
    seed: int
    probe: Cell

    def document(self) -> dict[str, Any]:
        """The canonical content of the cell, as JSON values."""
        return {
            "judge": JUDGE_VERSION,
            "dataset": self.probe.document()["dataset"],
            "backbone": self.backbone.document(),
            "purifier": self.purifier.document(),
            "threat": self.corruption.document(),
            "protocol": {"draws": self.draws, "decide": self.decide, "seed": self.seed},
        }

    @cached_property
    def id(self) -> str:
        """Cells with the same id are the same work."""
        return id_of(self.document())

    @property
    def title(self) -> str:
        """`backbone/purifier/corruption`, the labels a user filters by."""
        return f"{self.backbone.label}/{self.purifier.label}/{self.corruption.name}"

    def labelled(self) -> dict[str, Any]:
        """The content with the id and the labels of its parts, as it stands on the disk."""
        labels = {kind: getattr(self, kind).label for kind in ("dataset", "backbone", "purifier")}
        return {**self.document(), "id": self.id, "labels": {**labels, "attack": self.corruption.name}}


def corrupted_cells(spec: SuiteSpec, suite: BoundSuite) -> Iterator[CorruptedCell]:
    """The cells of all corruptions, by backbone and purifier; none for a suite without corruptions.

    Args:
        spec: the suite.
        suite: its components.

    Raises:
        InputError: a component or a file of corrupted images is missing.
        MissingError: the library that makes corrupted images is not installed.
    """
    if not spec.threat.names:
        return
    corruptions = [*_corruptions(spec), Corruption(CLEAN, (0,), _code("corruptions"))]
    dataset = part_of(spec, suite.dataset)
    piece = Slice(spec.dataset.samples, spec.dataset.shuffle, spec.dataset.balanced)
    purifiers = [part_of(spec, bound) for bound in suite.purifiers]
    protocol, noise = spec.protocol, resolve_part("attack", "noise", {})
    ball = Threat(spec.threat.norm, spec.threat.eps[0]) if spec.threat.eps else _USUAL
    for bound in suite.backbones:
        backbone = part_of(spec, bound)
        for purifier in purifiers:
            if bound.spec.purifiers is not None and purifier.label not in bound.spec.purifiers:
                continue
            probe = Cell(
                dataset, piece, backbone, purifier, ball, noise, "auto", 1,
                protocol.draws, protocol.select_draws, protocol.decide, protocol.seed,
            )  # fmt: skip
            for corruption in corruptions:
                yield CorruptedCell(
                    dataset,
                    piece,
                    backbone,
                    purifier,
                    corruption,
                    protocol.draws,
                    protocol.decide,
                    protocol.seed,
                    probe,
                )


def matching(cells: tuple[CorruptedCell, ...], only: str) -> tuple[CorruptedCell, ...]:
    """The cells whose title or one of whose labels matches a glob, or one of several parted by commas."""
    patterns = [pattern.strip() for pattern in only.split(",") if pattern.strip()]

    def matches(cell: CorruptedCell, pattern: str) -> bool:
        labels = (cell.backbone.label, cell.purifier.label, cell.corruption.name)
        return fnmatchcase(cell.title, pattern) or any(fnmatchcase(label, pattern) for label in labels)

    return tuple(cell for cell in cells if any(matches(cell, pattern) for pattern in patterns))


def _corruptions(spec: SuiteSpec) -> list[Corruption]:
    threat = spec.threat
    severity = tuple(sorted(threat.severity))
    if threat.path is None:
        made = f"{LIBRARY} {library_version()}, {_code('corruptions')}"
        return [Corruption(name, severity, made) for name in threat.names]
    folder, read = Path(located(threat.path)), _code("corrupted_files")
    found = []
    for name in threat.names:
        try:
            files = digests(files_of(folder, name, severity))
        except InputError as error:
            raise error.at(spec.place(("threat", "path"))) from None
        found.append(Corruption(name, severity, read, folder, files))
    return found


def files_of(folder: Path, name: str, severity: tuple[int, ...]) -> list[Path]:
    """The files of a corruption in the layout of CIFAR-10-C, or its folders in that of ImageNet-C.

    Args:
        folder: of all corruptions.
        name: as suites write it.
        severity: those that are wanted.

    Raises:
        InputError: there are neither.
    """
    own = name.replace("-", "_")
    if (folder / f"{own}.npy").is_file():
        return [folder / f"{own}.npy", folder / "labels.npy"]
    if (folder / own).is_dir():
        return [folder / own / str(one) for one in severity]
    problem = f"neither {own}.npy (CIFAR-10-C) nor a folder {own} (ImageNet-C) in {folder}."
    raise InputError(
        problem, found=name, remedy="Give the folder of all corruptions, or leave path out to have them made."
    )


def library_version() -> str:
    """The version of the library that makes corrupted images.

    Raises:
        MissingError: it is not installed.
    """
    try:
        return version(LIBRARY)
    except PackageNotFoundError:
        raise MissingError(f"corruptions are made by {LIBRARY}", place="threat", remedy=installs(_MODULE)) from None


def _code(module: str) -> str:
    return f"rbench+{source_version(f'rbench.datasets.{module}', lambda top: top == 'rbench')}"
