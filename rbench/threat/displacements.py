"""The losses of an attacker who moves the defence's own code of an image and looks at no label, per sample.

`z` is the code of the attacked image, `origin` that of the clean one, both [B, ...]; every displacement is 0 where they are equal, and so
is its gradient: an attack has to start somewhere else.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from rbench.threat.terms import Displacement

TINY = 1e-12
"""Added to squared lengths, or the least that is divided by, so that a code of zeros has finite losses; far below that of any real code."""


def squared(z: Tensor, origin: Tensor) -> Tensor:
    """Squared Euclidean distance, [B]."""
    return _square(z - origin)


def relative(z: Tensor, origin: Tensor) -> Tensor:
    """Squared Euclidean distance in units of the clean code's squared length, [B]."""
    return _square(z - origin) / _square(origin).clamp(min=TINY)


def angle(z: Tensor, origin: Tensor) -> Tensor:
    """One minus the cosine, [B] in [0, 2]; blind to length.

    As half the squared chord between the directions, which is the same number: the difference from 1 would cancel where they are close.
    """
    return _square(functional.normalize(z.flatten(1)) - functional.normalize(origin.flatten(1))) / 2


def log_ratio(z: Tensor, origin: Tensor) -> Tensor:
    """Squared logarithm of the ratio of lengths, [B]; blind to direction, to scale, and to which of the two is the longer."""
    return ((torch.log(_square(z) + TINY) - torch.log(_square(origin) + TINY)) / 2) ** 2


def _square(z: Tensor) -> Tensor:
    return z.flatten(1).square().sum(1)


DISPLACEMENTS: dict[Displacement, Callable[[Tensor, Tensor], Tensor]] = {
    "latent": relative,
    "latent-angle": angle,
    "latent-norm": log_ratio,
    "decoder": squared,
    "feature": relative,
}

LATENT: frozenset[Displacement] = frozenset({"latent", "latent-angle", "latent-norm"})
"""Those that need the purifier to bring `encode`."""
