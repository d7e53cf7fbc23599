"""The pictures of a cell: a few images before and after the attack, and what the purifier makes of each."""

import numpy as np
import torch
from torch import Tensor

from rbench.engine.defended import DefendedModel
from rbench.results.gallery import Gallery
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

SAMPLES = 6
LARGE, FEW = 128, 3
"""Of images with more than `LARGE` pixels a side only `FEW` samples are shown, since pictures are stored at full size."""


def take_gallery(model: DefendedModel, clean: Batch, adversarial: Tensor, noise: Noise) -> Gallery:
    """The pictures of the first samples; their passes are not counted in the cost of the cell.

    Args:
        model: the defended model.
        clean: N samples; the first few are shown.
        adversarial: [N, C, H, W] the same images attacked.
        noise: the root of the cell's randomness; of a random purifier the first score draw is shown.
    """
    clean = clean.at(slice(FEW if max(clean.x.shape[2:]) > LARGE else SAMPLES))
    before = model.meter.totals()
    with torch.no_grad():
        shown = [clean.x, adversarial[: len(clean)]]
        classes = []
        for images in tuple(shown):
            shown.append(model.purify(images, noise.of("score", clean.ids, clean.device)))
            classes.append(model.classify(shown[-1]).argmax(1))
    for name, spent in before.items():
        setattr(model.meter, name, spent)
    return Gallery(
        samples=clean.ids.cpu().numpy(),
        labels=clean.y.cpu().numpy(),
        pixels=_eight_bits(torch.stack(shown, 1)),
        predictions=torch.stack(classes, 1).cpu().numpy(),
    )


def _eight_bits(images: Tensor) -> np.ndarray:
    pixels: np.ndarray = (images.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return pixels
