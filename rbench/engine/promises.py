"""Whether the gradient at attacked images keeps what it promises: a purifier may know such images by pixels at the ends of the ball."""

from dataclasses import replace

import torch
from torch import Tensor

from rbench.engine.defended import DefendedModel
from rbench.engine.oracle import Oracle
from rbench.threat.batch import Batch
from rbench.threat.losses import margin
from rbench.threat.noise import Noise

LEAST, MOST = 4, 16
"""Survivors that are looked at; fewer say too little."""
_STEPS = (1e-3, 1e-2)
"""Largest change of a pixel: the first is near the gradient's own reach, the second above what an 8-bit purifier rounds away."""


def kept_promise(model: DefendedModel, images: Tensor, clean: Batch, noise: Noise) -> float | None:
    """How much the margin rises after a small step along the exact gradient at attacked images, relative to what the gradient promises.

    About 1 for a right gradient, also at kinks, where finite differences along chance directions tell nothing; near 0 for a random one,
    negative for a flipped one. The better of two lengths counts. No pass is counted as the attack's.

    Args:
        model: the defended model, which gives the same logits under the same noise.
        images: [B, C, H, W] attacked images that survive, from `LEAST` to `MOST`.
        clean: the samples that they were made from.
        noise: the root of the cell's randomness.

    Returns:
        The ratio of the sums over the images; None where the gradient promises nothing.
    """
    spent = replace(model.meter)
    drawn = noise.of("audit", clean.ids, clean.device)
    with torch.enable_grad():
        point = images.detach().clone().requires_grad_()
        before = margin(Oracle(model, "exact", eot=1, noise=noise).forward(point, replace(drawn)), clean.y)
        found = torch.autograd.grad(before.sum(), point, allow_unused=True)[0] if before.requires_grad else None
    gradient = torch.zeros_like(images) if found is None else found.nan_to_num(0.0, 0.0, 0.0)
    promised, ratios = float(gradient.double().abs().sum()), []
    for step in _STEPS if promised > 0 else ():
        with torch.no_grad():
            after = margin(model(images + step * gradient.sign(), replace(drawn)), clean.y)
        ratios.append(float((after - before.detach()).double().sum()) / (step * promised))
    vars(model.meter).update(vars(spent))
    return max(ratios, default=None)
