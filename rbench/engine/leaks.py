"""Whether a purifier knows the clean images: it answers their attacked versions with them, bit by bit."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rbench.engine.setup import Setup
from rbench.threat.batch import Batch
from rbench.threat.noise import SampleNoise

UNITS = (8, 4, 2, 1)
"""Images are rolled by multiples of the largest of these that divides both sides, so that a code of patches finds its patches again."""


@dataclass(frozen=True)
class Leaks:
    """How often a purifier handed out the clean image; counts of several batches add up.

    Attributes:
        changed: attacked images that the purifier changed.
        restored: those of them that it changed to the clean image, and not so when they were rolled.
    """

    changed: int = 0
    restored: int = 0

    @property
    def share(self) -> float | None:
        """Restored images, a share of the changed ones in [0, 1]; None where none was changed."""
        return self.restored / self.changed if self.changed else None

    def __add__(self, other: "Leaks") -> "Leaks":
        """The counts of both."""
        return Leaks(self.changed + other.changed, self.restored + other.restored)


def leaks(setup: Setup, images: Tensor, clean: Batch) -> Leaks:
    """Looks for clean images in what a purifier makes of attacked ones; no pass is counted as the attack's.

    An image counts as restored if it is the clean one bit by bit, or in all its 8-bit levels where the attacked one differs in some: files
    hold 8-bit images, and noise of a thousandth hides nothing. A map of neighbourhoods to one image (bit depth, a code of patches) restores
    images wherever they lie, so the rolled image is asked about as well; who stores images does not know these. Mirrored ones would not
    tell: they are stored as easily as the images themselves.

    Args:
        setup: the audited cell.
        images: [B, C, H, W] attacked images, on the device.
        clean: the samples that they were made from.

    Raises:
        CellFailed: the purifier returned no images of this shape.
    """
    model = setup.model
    spent = replace(model.meter)
    noise = setup.noise.of("audit", clean.ids, clean.device)
    with torch.no_grad():
        purified = model.purify(images, replace(noise))
        changed = (_differ(purified, images) & _differ(images, clean.x)).cpu()
        restored = changed & _is_restored(purified, images, clean.x).cpu()
        if restored.any():
            by = _offsets(noise, clean.x)
            rolled = torch.stack([one.roll(move, (1, 2)) for one, move in zip(images, by, strict=True)])
            origin = torch.stack([one.roll(move, (1, 2)) for one, move in zip(clean.x, by, strict=True)])
            restored &= ~_is_restored(model.purify(rolled, replace(noise)), rolled, origin).cpu()
    vars(model.meter).update(vars(spent))
    return Leaks(int(changed.sum()), int(restored.sum()))


def _differ(a: Tensor, b: Tensor) -> Tensor:
    return (a != b).flatten(1).any(1)


def _is_restored(purified: Tensor, attacked: Tensor, clean: Tensor) -> Tensor:
    """Whether the purified image is the clean one, [B] bool."""
    levels, before, wanted = ((255 * x.double()).round() for x in (purified, attacked, clean))
    return ~_differ(purified, clean) | (~_differ(levels, wanted) & _differ(before, wanted))


def _offsets(noise: SampleNoise, x: Tensor) -> list[tuple[int, int]]:
    """How far each image is rolled down and to the right: never by nothing, where it has two places to go."""
    unit = next(u for u in UNITS if all(side % u == 0 and (side > u or u == 1) for side in x.shape[2:]))
    places = [max(1, side // unit - 1) for side in x.shape[2:]]
    drawn = replace(noise).uniform(2).tolist()
    moves = [[unit * (1 + int(u * count)) for u, count in zip(pair, places, strict=True)] for pair in drawn]
    return [(down, right) for down, right in moves]
