"""The images that a defended model is audited on: those of the cell, and points around them where attacks go."""

from dataclasses import dataclass

import torch

from rbench.engine.defended import DefendedModel, writes_to_input
from rbench.errors import CellFailed
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

SAMPLES = 16
"""Samples that are shown together in small batches, the first of the cell."""
_FIRST_DRAW = 1000
"""Number of the first draw, of the role `audit`, that images are moved by; the defended model is given draws of smaller numbers."""


@dataclass(frozen=True)
class Audited:
    """One of the two sets of images.

    Attributes:
        what: how errors call one of its images.
        whole: as many images as attacks and judge show together.
    """

    what: str
    whole: Batch

    @property
    def few(self) -> Batch:
        """Its first images, up to 16."""
        return self.whole.at(slice(SAMPLES))

    def shortened(self) -> "Audited":
        """The few alone, which do not keep the others in memory."""
        few = self.few
        return Audited(self.what, few.of(few.x.clone()))

    @property
    def larger(self) -> bool:
        """Whether attacks show more images together than the few."""
        return len(self.whole) > SAMPLES


def audited_images(sample: Batch, noise: Noise, ball: Ball, size: int) -> tuple[Audited, Audited]:
    """Images under uniform noise in the ball, and the clean ones.

    Args:
        sample: the first samples of the cell; where they are fewer than `size`, they are shown several times, each time under other noise.
        noise: the root of the cell's randomness.
        ball: with one radius.
        size: images that attacks or the judge show together at most.

    Returns:
        The moved images, then the clean ones: `size` of each, 16 where that is more and there are as many samples.
    """
    count = max(size, min(len(sample), SAMPLES))
    rows = torch.arange(count, device=sample.device) % len(sample)
    clean = sample.at(rows)
    moved = []
    for start in range(0, count, len(sample)):
        part = clean.at(slice(start, start + len(sample)))
        drawn = noise.of("audit", part.ids, part.device, draw=_FIRST_DRAW + start // len(sample))
        moved.append(ball.uniform(part.x, drawn))
    noisy = Audited("an image under uniform noise in the ball", clean.of(torch.cat(moved)))
    return noisy, Audited("the clean image", clean)


class Questions:
    """Asks a defended model for logits, and notes what its purifier does to the images on the way.

    Attributes:
        changes: some purified pixel was not as it was shown.
        beyond: largest distance of a purified pixel from [0, 1]; a NaN counts as 1.
        sizes: of the batches that it asked about.
    """

    def __init__(self, model: DefendedModel, noise: Noise) -> None:
        self.model, self.noise = model, noise
        self.changes, self.beyond = False, 0.0
        self.sizes: frozenset[int] = frozenset()

    def logits(self, shown: Batch, *, draw: int = 0, what: str = "") -> torch.Tensor:
        """Logits [B, classes] under one draw of the role `audit`.

        Args:
            shown: the images.
            draw: number of the draw.
            what: how errors call one of them; images that no attack would show have no name, and may have logits that are not finite.

        Raises:
            CellFailed: purifier or backbone writes to its input; a logit of images with a name is NaN or infinite.
        """
        before, self.sizes = shown.x.clone(), self.sizes | {len(shown)}
        with torch.no_grad():
            purified = self.model.purify(shown.x, self.noise.of("audit", shown.ids, shown.device, draw=draw))
            if not torch.equal(before, shown.x):
                raise writes_to_input(f"purifier '{self.model.name}'")
            logits = self.model.classify(purified)
        if not torch.equal(before, shown.x):
            raise writes_to_input(self.model.classifier)
        if what:
            self._note(shown.x, purified)
            _refuse_non_finite(logits, shown.ids, what)
        return logits

    def _note(self, shown: torch.Tensor, purified: torch.Tensor) -> None:
        self.changes = self.changes or not torch.equal(purified, shown)
        pixels = purified.nan_to_num(nan=2.0)
        self.beyond = max(self.beyond, float(-pixels.min()), float(pixels.max()) - 1)


def _refuse_non_finite(logits: torch.Tensor, ids: torch.Tensor, what: str) -> None:
    broken = ~torch.isfinite(logits).all(1)
    if broken.any():
        samples = list(dict.fromkeys(ids[broken].tolist()))
        raise CellFailed(f"sample {samples[0]}: logits are NaN or infinite on {what}", samples)
