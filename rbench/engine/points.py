"""Points around a few samples, and the loss of a defended model at them; what the audit of gradients is measured on."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rbench.engine.defended import DefendedModel
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.losses import margin
from rbench.threat.noise import Noise, SampleNoise

SAMPLES = 4
"""Samples that are looked at: few, since each takes hundreds of passes."""
NEIGHBOURS = 100
"""Uniform points of the ball around each sample at which the loss is evaluated."""
FLAT = 1e-9
"""Gradients and margins of this length or below count as zero and are not divided by."""
_BLOCK = 4
"""Most points around each sample that are evaluated in one batch: as many images as the audit shows together anyway."""
_BLOCK_BYTES = 2**23
"""Most bytes of images in such a batch, unless it holds one point of each sample: what a model makes of them takes many times that."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits [B, classes], labels [B]) -> losses [B]."""


@dataclass(frozen=True)
class Few:
    """The samples that are looked at, and the noise.

    Attributes:
        batch: the samples.
        noise: the root of the cell's randomness.
        same_shape: every batch must have the shape of this one, since the purifier draws from a global generator, or depends on its batch
            otherwise: in a batch of another shape it would draw other noise.
    """

    batch: Batch
    noise: Noise
    same_shape: bool

    @property
    def x(self) -> Tensor:
        """The images."""
        return self.batch.x

    def draw(self, number: int = 0) -> SampleNoise:
        """Noise of the samples; the first draw is the one that every model here is shown."""
        return self.noise.of("audit", self.batch.ids, self.batch.device, draw=number)

    def of(self, x: Tensor) -> "Few":
        """Other images of the same samples."""
        return Few(self.batch.of(x), self.noise, self.same_shape)

    def around(self, model: DefendedModel, points: Tensor) -> Tensor:
        """Logits at many points [B, K, C, H, W] around each sample, all under the sample's one draw, [B, K, classes]."""
        logits = []
        with torch.no_grad():
            for block in torch.split(points, self.together(points[:, 0].nbytes), dim=1):
                count = block.shape[1]
                noise = self.noise.of("audit", self.batch.ids.repeat_interleave(count), self.batch.device)
                logits.append(model(block.flatten(0, 1), noise).unflatten(0, (-1, count)))
        return torch.cat(logits, 1)

    def together(self, size: int) -> int:
        """How many points around each sample one batch may hold.

        Args:
            size: bytes of one point around each.
        """
        return 1 if self.same_shape else min(_BLOCK, max(1, _BLOCK_BYTES // size))

    def losses(self, model: DefendedModel, points: Tensor, loss: Loss) -> Tensor:
        """The loss at many points around each sample, [B, K]."""
        logits = self.around(model, points)
        return loss(logits.flatten(0, 1), self.batch.y.repeat_interleave(points.shape[1])).view(points.shape[:2])


def loss_change(model: DefendedModel, few: Few, ball: Ball) -> float | None:
    """Mean change of the margin over 100 uniform points of the ball, relative to the mean margin; None where it is not finite.

    The passes are not counted as the attack's.
    """
    spent = replace(model.meter)
    here = few.losses(model, few.x[:, None], margin).double()
    size = few.together(few.x.nbytes)
    blocks = (range(first, min(first + size, NEIGHBOURS)) for first in range(0, NEIGHBOURS, size))
    moved = torch.cat([few.losses(model, _neighbours(few, ball, block), margin) for block in blocks], 1).double()
    vars(model.meter).update(vars(spent))
    change = (moved - here).abs().mean() / here.abs().mean().clamp(min=FLAT)
    return float(change) if bool(torch.isfinite(change)) else None


def _neighbours(few: Few, ball: Ball, numbers: range) -> Tensor:
    """Some of the points of the ball around each sample [B, K, C, H, W]; each is drawn by its number, and never are all of them there."""
    count, (ids, device) = len(numbers), (few.batch.ids, few.batch.device)
    calls = torch.tensor(numbers, device=device).repeat(len(ids))
    noise = few.noise.of("audit", ids.repeat_interleave(count), device, draw=3, calls=calls)
    return ball.uniform(few.x.repeat_interleave(count, 0), noise).view(-1, count, *few.x.shape[1:])
