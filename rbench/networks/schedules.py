"""How much of an image is left at each noise level of a diffusion."""

import math
from typing import Literal

import torch
from torch import Tensor

Schedule = Literal["linear", "cosine"]
LEVELS = 1000
"""T of both papers."""
_OFFSET, _LARGEST = 0.008, 0.999
"""Of the cosine schedule: s of eq. 17, which keeps the first betas from vanishing, and the largest beta."""


def signal(schedule: Schedule) -> Tensor:
    """alpha-bar of every noise level, [T + 1] float64, from 1 (the image) down to almost 0 (noise).

    Level n is the papers' t; networks are given n - 1, since the code of the papers counts from 0.

    Args:
        schedule: `linear`, beta from 1e-4 to 0.02 (Ho et al. 2020, arXiv 2006.11239, section 4), or `cosine` (Nichol and Dhariwal 2021,
            arXiv 2102.09672, eq. 17, each beta at most 0.999).
    """
    if schedule == "linear":
        kept = 1 - torch.linspace(1e-4, 0.02, LEVELS, dtype=torch.float64, device="cpu")
    else:
        share = torch.arange(LEVELS + 1, dtype=torch.float64, device="cpu") / LEVELS
        curve = torch.cos((share + _OFFSET) / (1 + _OFFSET) * math.pi / 2).square()
        kept = (curve[1:] / curve[:-1]).clamp(min=1 - _LARGEST)
    return torch.cat([torch.ones(1, dtype=torch.float64, device="cpu"), kept]).cumprod(0)


def noised(x: Tensor, left: Tensor | float, noise: Tensor) -> Tensor:
    """Images [B, C, H, W] in [-1, 1] at a noise level: q(x_t | x_0) of Ho et al. 2020, eq. 4.

    Args:
        x: the images.
        left: alpha-bar of the level, one for all or [B, 1, 1, 1].
        noise: standard normal draws of the shape of `x`.
    """
    return left**0.5 * x + (1 - left) ** 0.5 * noise
