"""Non-local means."""

from itertools import product
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad


class NonLocalMeans(nn.Module):
    """Every pixel becomes the mean of those whose surroundings look like its own (Buades et al. 2005, CVPR, section 3).

    The weight of a pixel of the search window is exp(-d / strength^2), d the mean squared difference of the two patches over their pixels
    and channels, none of them weighted more than another; the pixel itself weighs 1. Edges are continued with their own pixels. Windows
    of even side reach one pixel further up and left. Deterministic and differentiable, nothing optimised at test time; a gradient keeps
    search^2 images in memory.

    Args:
        search: side of the search window in pixels; 13 as Xu et al. 2018 (arXiv 1704.01155) set it for CIFAR-10. Buades et al. take 21.
        patch: side of the patches that are compared in pixels; 3 in Xu et al., 7 in Buades et al.
        strength: on the [0, 1] pixel scale, h of Buades et al.; 2 of 255 in Xu et al., ten deviations of the noise in Buades et al.
    """

    stochastic = False
    differentiable = True

    def __init__(
        self,
        *,
        search: Annotated[int, Interval(ge=1, le=51)] = 13,
        patch: Annotated[int, Interval(ge=1, le=15)] = 3,
        strength: Annotated[float, Interval(gt=0, le=1)] = 2 / 255,
    ) -> None:
        super().__init__()
        self.search = search
        self.patch = patch
        self.strength = strength

    def forward(self, x: Tensor) -> Tensor:
        """The smoothed images."""
        height, width = x.shape[2:]
        before, around = self.patch // 2, self.patch - 1
        reach = self.search // 2
        margins = [before + reach, around - before + reach]
        padded = pad(x, margins * 2, mode="replicate")

        def moved(down: int, right: int) -> Tensor:
            top, left = reach + down, reach + right
            return padded[:, :, top : top + height + around, left : left + width + around]

        here = moved(0, 0)
        total, weights = torch.zeros_like(x), torch.zeros_like(x[:, :1])
        for down, right in product(range(-reach, self.search - reach), repeat=2):
            there = moved(down, right)
            distance = avg_pool2d((here - there).square().mean(1, keepdim=True), self.patch, stride=1)
            weight = (-distance / self.strength**2).exp()
            total = total + weight * there[:, :, before : before + height, before : before + width]
            weights = weights + weight
        # Rounding keeps order: a sum of pixels of at most 1 is never above that of their weights, so nothing is to be clipped.
        return total / weights
