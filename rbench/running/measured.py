"""What was measured of defended models, in the run folder: another worker and the next run read it, and only the coordinator writes.

A measurement is found by the hash of all that it depends on: the defended model with its weights, code and files, the samples, radius and
seed, torch, the device, and the code that measures. It is read as something that anybody may have written.
"""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rbench.engine.told import Document
from rbench.errors import InputError
from rbench.results.store import RunFolder
from rbench.suite.cell import JUDGE_VERSION, Part, defended_id, id_of

_MEASURING = ("engine", "threat", "results/flags", "attacks/pgd.py")
"""Where the code is that measures, in the package."""


class Measured(NamedTuple):
    """A measurement to be kept.

    Attributes:
        row: of the defended model, see `defended_id`.
        name: of the measurement.
        document: its JSON values.
    """

    row: str
    name: str
    document: Document


@dataclass
class Shelf:
    """Reads what a run folder has, and collects what is new.

    Attributes:
        root: the run folder.
    """

    root: Path
    _new: list[Measured] = field(default_factory=list)

    def of(self, backbone: Part, purifier: Part, device: torch.device) -> "ShelfOfRow":
        """That of a defended model.

        Args:
            backbone: the one part.
            purifier: the other.
            device: where it lives.
        """
        about = {
            "backbone": backbone.document(),
            "purifier": purifier.document(),
            "judge": JUDGE_VERSION,
            "code": measuring_code(),
            "torch": torch.__version__,
            "device": device.type,
            "machine": platform.machine(),
        }
        return ShelfOfRow(RunFolder(self.root), defended_id(backbone, purifier), about, self._new)

    def take(self) -> tuple[Measured, ...]:
        """What is new since this was last asked."""
        new, self._new[:] = tuple(self._new), []
        return new


@dataclass(frozen=True)
class ShelfOfRow:
    """The measurements of one defended model, as `rbench.engine.told.Kept` has it."""

    folder: RunFolder
    row: str
    about: Mapping[str, Any]
    new: list[Measured]

    def get(self, key: Document) -> Document | None:
        """What the folder has; None where it has nothing, or nothing that can be read."""
        full = {**self.about, **key}
        try:
            document = self.folder.read_audit(self.row, id_of(full))
        except InputError:
            return None
        return document if isinstance(document, dict) and document.get("key") == full else None

    def put(self, key: Document, value: Document) -> None:
        """Hands on what is new to whoever writes."""
        full = {**self.about, **key}
        self.new.append(Measured(self.row, id_of(full), {**value, "key": full}))


@cache
def measuring_code() -> str:
    """sha256 of the code that measures: a measurement by other code is none of ours."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for place in _MEASURING:
        for path in sorted([package / place, *(package / place).glob("*.py")]):
            if path.is_file():
                digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()
