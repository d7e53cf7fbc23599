"""Training images in memory, as bytes where that loses nothing; split and augmented the same way on every run."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

from rbench.datasets.types import Dataset
from rbench.errors import InputError
from rbench.fit.recipe import Augment

_READ = 1000


@dataclass(frozen=True)
class Samples:
    """Images, and labels where training has a use for them.

    Attributes:
        images: [N, C, H, W]; uint8 if every pixel is k/255, else float32.
        labels: [N] int64, or None.
    """

    images: Tensor
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, places: Tensor, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Images [B, C, H, W] float32 in [0, 1] and labels of some places."""
        images = self.images[places].to(device)
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        return pixels, None if self.labels is None else self.labels[places].to(device)

    def part(self, places: Tensor) -> "Samples":
        """Some of them."""
        return Samples(self.images[places], None if self.labels is None else self.labels[places])

    def digest(self) -> str:
        """sha256 of the pixels, their type and their shape; of the labels too where there are any."""
        sha256 = hashlib.sha256()
        for tensor in (self.images, self.labels):
            if tensor is not None:
                sha256.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
                sha256.update(np.ascontiguousarray(tensor.numpy()).tobytes())
        return sha256.hexdigest()


def read_samples(
    dataset: Dataset, ids: np.ndarray, *, labelled: bool, on_read: Callable[[int], None] = lambda done: None
) -> Samples:
    """Reads the samples of some ids.

    Args:
        dataset: where from.
        ids: which.
        labelled: keep the labels; a purifier is trained without them.
        on_read: called with the number of samples that have just been read.

    Raises:
        InputError: an image is broken, or of another shape.
    """
    parts: list[Tensor] = []
    exact = True
    for start in range(0, len(ids), _READ):
        images = torch.from_numpy(dataset.read(ids[start : start + _READ]))
        levels = (images * 255).round().to(torch.uint8)
        if exact and not torch.equal(levels.float() / 255, images):
            exact, parts = False, [part.float() / 255 for part in parts]
        parts.append(levels if exact else images)
        on_read(len(images))
    return Samples(torch.cat(parts), torch.from_numpy(dataset.labels[ids]) if labelled else None)


def split(samples: Samples, held_out: int, where: str = "training.held_out") -> tuple[Samples, Samples]:
    """Samples to train on and samples held out: the last of a fixed shuffle, whatever the seed of the training.

    Raises:
        InputError: fewer than two would be left to train on.
    """
    count = len(samples)
    if count - held_out < 2:
        problem, found = f"{held_out} of {count} samples leave fewer than 2 to train on", str(held_out)
        raise InputError(problem, place=where, found=found, remedy="hold out fewer")
    places = torch.randperm(count, generator=Generator().manual_seed(0))
    kept, rest = places[: count - held_out], places[count - held_out :]
    return samples.part(kept.sort().values), samples.part(rest.sort().values)


def augmented(images: Tensor, augment: Augment, generator: Generator) -> Tensor:
    """Images [B, C, H, W] each mirrored or not, and moved by its own number of pixels; what comes in at the border is black."""
    count, _, height, width = images.shape
    device = images.device
    if augment.flip:
        mirrored = torch.rand(count, 1, 1, 1, generator=generator, device=device) < 0.5
        images = torch.where(mirrored, images.flip(3), images)
    if not augment.shift:
        return images
    top, left = torch.randint(0, 2 * augment.shift + 1, (2, count, 1), generator=generator, device=device)
    rows, columns = top + torch.arange(height, device=device), left + torch.arange(width, device=device)
    wide = pad(images, [augment.shift] * 4)
    moved = wide[torch.arange(count, device=device)[:, None, None], :, rows[:, :, None], columns[:, None]]
    return moved.permute(0, 3, 1, 2)
