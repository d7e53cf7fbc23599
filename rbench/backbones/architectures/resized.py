"""Images brought to the size that a network was trained on, differentiably."""

from torch import Tensor, nn
from torch.nn.functional import interpolate


class Resized(nn.Module):
    """A bilinear resize to a square.

    Args:
        size: side of the square in pixels.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, size, size]."""
        # Antialiasing changes nothing where images grow, and without it pixels would be left out where they shrink.
        shrinks = min(x.shape[2:]) > self.size
        return interpolate(x, (self.size, self.size), mode="bilinear", align_corners=False, antialias=shrinks)
