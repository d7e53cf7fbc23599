"""A purifier made by someone else: it imports torch and nothing of rbench."""

import torch
from torch.nn.functional import avg_pool2d


class BoxBlur(torch.nn.Module):
    """Replaces every pixel by the mean of the square around it; outside the image nothing is counted.

    Args:
        radius: how far the square reaches, in pixels.
    """

    stochastic = False
    differentiable = True

    def __init__(self, *, radius: int = 1) -> None:
        super().__init__()
        if radius < 0:
            raise ValueError(f"radius is {radius}, expected 0 or more")
        self.radius = radius

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] in [0, 1] to the same."""
        return avg_pool2d(x, 2 * self.radius + 1, 1, self.radius, count_include_pad=False)
