"""Gaussian blur."""

import math
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from rbench.purifiers.rounding import trim


class GaussianBlur(nn.Module):
    """Gaussian smoothing, the linear kind of local smoothing (Xu et al. 2018, arXiv 1704.01155, section 3.2).

    The kernel reaches out to three sigma and sums to one; edges are continued with their own pixels, so
    images of any size and number of channels work.

    Args:
        sigma: standard deviation in pixels.
    """

    stochastic = False
    differentiable = True

    def __init__(self, *, sigma: Annotated[float, Interval(gt=0, le=50)] = 1.0) -> None:
        super().__init__()
        radius = math.ceil(3 * sigma)
        weights = [math.exp(-((i / sigma) ** 2) / 2) for i in range(-radius, radius + 1)]
        self.kernel = [weight / sum(weights) for weight in weights]

    def forward(self, x: Tensor) -> Tensor:
        """The blurred images."""
        channels, radius = x.shape[1], len(self.kernel) // 2
        kernel = torch.tensor(self.kernel, device=x.device, dtype=x.dtype).expand(channels, 1, 1, -1)
        y = pad(x, [radius] * 4, mode="replicate")
        y = conv2d(conv2d(y, kernel, groups=channels), kernel.mT, groups=channels)
        return trim(y)
