"""Samples under attack: images, true labels and the ids that their noise is keyed by."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Some samples of a data set.

    Attributes:
        x: [B, C, H, W] float32 clean images in [0, 1].
        y: [B] int64 true labels.
        ids: [B] int64 sample ids.
    """

    x: Tensor
    y: Tensor
    ids: Tensor

    def __len__(self) -> int:
        return len(self.x)

    @property
    def device(self) -> torch.device:
        """Where the samples are."""
        return self.x.device

    def at(self, rows: Tensor | slice) -> "Batch":
        """Some of them, by row."""
        return Batch(self.x[rows], self.y[rows], self.ids[rows])

    def joined(self, more: "Batch") -> "Batch":
        """The samples of both, the others after these."""
        return Batch(*(torch.cat([getattr(self, part), getattr(more, part)]) for part in ("x", "y", "ids")))

    def of(self, x: Tensor) -> "Batch":
        """Other images of the same samples."""
        return replace(self, x=x)
