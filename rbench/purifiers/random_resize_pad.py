"""Random resizing and padding."""

from typing import Annotated, Protocol

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from rbench.purifiers.rounding import trim


class Uniform(Protocol):
    """The part of rbench's per-sample noise that this purifier draws from."""

    def uniform(self, *shape: int) -> Tensor:
        """Draws in [0, 1), [B, *shape]."""


class RandomResizePad(nn.Module):
    """Each image at its own random size and place on a black canvas (Xie et al. 2018, arXiv 1711.01991).

    The source enlarges 299 pixels to a random 299 to 330 and pads to 331. Here the canvas is the image's own
    size, so that any backbone fits: the image shrinks to between `smallest` and all of it, whole pixels, and
    is placed uniformly. Resizing is bilinear (the source takes the nearest pixel, which has no gradient to
    speak of).

    Args:
        smallest: least side relative to the image's; 0.9 is 299 / 331 rounded.
    """

    stochastic = True
    differentiable = True

    def __init__(self, *, smallest: Annotated[float, Interval(gt=0, lt=1)] = 0.9) -> None:
        super().__init__()
        self.smallest = smallest

    def forward(self, x: Tensor, *, noise: Uniform) -> Tensor:
        """The resized and padded images."""
        share, top, left = noise.uniform(3).to(x.dtype).unbind(1)
        height, width = x.shape[2:]
        least = max(1, round(self.smallest * height))
        rows = least + (share * (height - least + 1)).floor().clamp(max=height - least)
        columns = (rows * width / height).round().clamp(1, width)
        y, y_inside = _source(height, rows, top)
        x_, x_inside = _source(width, columns, left)
        grid = torch.stack([x_[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)], dim=-1)
        resized = grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
        inside = y_inside[:, None, :, None] & x_inside[:, None, None, :]
        return trim(resized * inside)


def _source(side: int, sizes: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Along one axis: where a canvas pixel [B, side] looks in the image, in [-1, 1], and if it does at all."""
    start = (place * (side - sizes + 1)).floor().minimum(side - sizes)
    pixel = torch.arange(side, device=sizes.device, dtype=sizes.dtype) - start[:, None]
    return (pixel + 0.5) / sizes[:, None] * 2 - 1, (pixel >= 0) & (pixel < sizes[:, None])
