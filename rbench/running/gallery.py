"""What a reader is shown of a cell: a few images before and after the attack, and what the purifier makes of each."""

import numpy as np
import torch
from torch import Tensor

from rbench.engine.defended import DefendedModel
from rbench.results.gallery import Gallery
from rbench.threat.noise import Noise

SAMPLES = 6
LARGE, FEW = 128, 3
"""Above this many pixels a side a picture is no longer small."""


def picture(model: DefendedModel, clean: Tensor, adversarial: Tensor, y: Tensor, ids: Tensor, noise: Noise) -> Gallery:
    """The pictures of the first samples; not in the cost of the cell.

    Args:
        model: the defended model.
        clean: [N, C, H, W] in [0, 1].
        adversarial: the same images attacked.
        y: [N] true classes.
        ids: [N] sample ids.
        noise: the root of the cell's randomness; shown is the first draw of those that score.
    """
    count = min(len(ids), FEW if max(clean.shape[2:]) > LARGE else SAMPLES)
    clean, adversarial, y, ids = clean[:count], adversarial[:count], y[:count], ids[:count]
    before = model.meter.totals()
    with torch.no_grad():
        shown = [clean, adversarial]
        classes = []
        for images in (clean, adversarial):
            shown.append(model.purify(images, noise.of("score", ids, images.device)))
            classes.append(model.classify(shown[-1]).argmax(1))
    for name, spent in before.items():
        setattr(model.meter, name, spent)
    return Gallery(
        samples=ids.cpu().numpy(),
        labels=y.cpu().numpy(),
        pixels=_eight_bits(torch.stack(shown, 1)),
        predictions=torch.stack(classes, 1).cpu().numpy(),
    )


def _eight_bits(images: Tensor) -> np.ndarray:
    pixels: np.ndarray = (images.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return pixels
