"""The checkpoint from which a killed training goes on: all that its remaining steps depend on, in one file that is written at once."""

import io
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from rbench.backbones.weights import read_pickled
from rbench.errors import InputError
from rbench.results.files import write_bytes


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training between two steps.

    Attributes:
        fingerprint: of recipe, data and code; a checkpoint with another one is refused.
        step: steps done.
        network: the state dict of what is trained.
        optimiser: the state dict of AdamW.
        sums: the terms of the current epoch, added up so far.
        curve: the epochs done.
        seconds: spent so far.
        average: the state dict of the moving average; empty if none is kept.
    """

    fingerprint: str
    step: int
    network: dict[str, Any]
    optimiser: dict[str, Any]
    sums: dict[str, float]
    curve: list[dict[str, Any]]
    seconds: float
    average: dict[str, Any] = field(default_factory=dict)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint in place of the last one."""
    buffer = io.BytesIO()
    torch.save(asdict(checkpoint), buffer)
    write_bytes(path, buffer.getvalue())


def read_checkpoint(path: Path, fingerprint: str) -> Checkpoint | None:
    """The last checkpoint, if there is one.

    Raises:
        InputError: the file is broken, or of another training.
        MissingError: this torch cannot read it safely.
    """
    if not path.exists():
        return None
    try:
        checkpoint = Checkpoint(**read_pickled(path))
    except (InputError, TypeError) as error:
        cause = error.problem if isinstance(error, InputError) else "other entries"
        problem = f"not a checkpoint of rbench fit ({cause.rstrip('.')})."
        raise InputError(problem, place=path, remedy="Remove it to start again") from error
    if checkpoint.fingerprint != fingerprint:
        problem = "was left by another recipe, other data or another version."
        raise InputError(problem, place=path, remedy="Remove it to start again, or give another --out")
    return checkpoint
