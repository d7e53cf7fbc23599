"""Measurements of a defended model that were made before, in another run or process: when they are believed, and how they are written.

They are believed by whoever runs, who trusts the folder of the run, and only where the model gives the same answers as then. Whoever
verifies a run measures anew.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from rbench.engine.answers import DIFFERS, differ
from rbench.threat.batch import Batch

Document = Mapping[str, Any]
"""JSON values."""
Found = TypeVar("Found")


class Kept(Protocol):
    """Where measurements of one defended model are kept."""

    def get(self, key: Document) -> Document | None:
        """What is kept under a key, whoever may have written it; None where nothing can be read."""

    def put(self, key: Document, value: Document) -> None:
        """Keeps something, in place of what was there."""


@dataclass(frozen=True)
class Array:
    """A tensor in float32, as JSON holds it."""

    shape: tuple[int, ...]
    float32: str

    @classmethod
    def of(cls, tensor: Tensor) -> "Array":
        """From a tensor."""
        values = tensor.detach().float().cpu().contiguous().numpy().astype("<f4")
        return cls(tuple(tensor.shape), base64.b64encode(values.tobytes()).decode())

    def tensor(self, device: torch.device) -> Tensor:
        """The tensor.

        Raises:
            ValueError: there are not as many numbers as the shape says.
        """
        values = np.frombuffer(base64.b64decode(self.float32, validate=True), "<f4").astype(np.float32)
        return torch.from_numpy(values.reshape(self.shape)).to(device)


@dataclass(frozen=True)
class Told:
    """What earlier runs have measured of a defended model.

    Attributes:
        about: the model, and whatever all measurements depend on.
        answers: [B, classes] what the model answers now to questions that it was asked then.
        kept: where measurements are; None where nothing is kept.
    """

    about: Document = field(default_factory=dict)
    answers: Tensor = field(default_factory=lambda: torch.zeros(0))
    kept: Kept | None = None

    def of(self, what: str, key: Document, kind: type[Found], measure: Callable[[], Found]) -> Found:
        """What was measured before, if it may be believed, else what is measured now, which is kept.

        Args:
            what: is measured.
            key: what it depends on beside `about`.
            kind: of the result.
            measure: measures it.

        Raises:
            CellFailed: the defended model cannot be judged.
        """
        if self.kept is None:
            return measure()
        full = {"what": what, **self.about, **key}
        found = read(self.kept.get(full), kind, lambda: self.answers)
        if found is None:
            found = measure()
            keep(self.kept, full, found, self.answers)
        return found


def read(document: Document | None, kind: type[Found], ask: Callable[[], Tensor]) -> Found | None:
    """A measurement that was kept; None where there is none of this kind, or the model answers otherwise now.

    Args:
        document: as `keep` has made it, or anything else.
        kind: of the measurement.
        ask: asks the model again what it was asked then, [B, classes]; called only where there is something to believe.

    Raises:
        CellFailed: the defended model cannot be judged.
    """
    if document is None:
        return None
    try:
        found = TypeAdapter(kind).validate_json(json.dumps(document["value"]), strict=True)
        then = TypeAdapter(Array).validate_json(json.dumps(document["answers"]), strict=True)
        answered = then.tensor(torch.device("cpu"))
    except (ValidationError, ValueError, TypeError, KeyError):
        return None
    now = ask().cpu()
    return found if now.shape == answered.shape and differ(now, answered) <= DIFFERS else None


def keep(kept: Kept, key: Document, found: object, answers: Tensor) -> None:
    """Keeps a measurement, with what the model answered; one that JSON cannot hold, such as an infinite number, is not kept."""
    value = TypeAdapter(type(found)).dump_python(found, mode="python")
    document = {"value": value, "answers": TypeAdapter(Array).dump_python(Array.of(answers), mode="python")}
    try:
        plain = json.loads(json.dumps(document, allow_nan=False))
    except ValueError:
        return
    kept.put(key, plain)


def samples_hash(samples: Batch) -> str:
    """sha256 of images, labels and ids."""
    digest = hashlib.sha256()
    for values in (samples.x, samples.y, samples.ids):
        digest.update(f"{tuple(values.shape)} {values.dtype}\n".encode())
        digest.update(values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
