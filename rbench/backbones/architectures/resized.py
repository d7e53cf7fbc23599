"""Images brought to the size that a network was trained on, differentiably, or held to it."""

from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import interpolate

from rbench.errors import InputError

Interpolation = Literal["bilinear", "bicubic"]


class Resized(nn.Module):
    """A resize of the whole image to a square.

    Args:
        size: side of the square in pixels.
        interpolation: how values between pixels are found; bicubic ones may lie a little outside the range of the pixels.
    """

    def __init__(self, size: int, interpolation: Interpolation = "bilinear") -> None:
        super().__init__()
        self.size = size
        self.interpolation = interpolation

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, size, size]."""
        # Antialiasing changes nothing where images grow, and without it pixels would be left out where they shrink.
        shrinks = min(x.shape[2:]) > self.size
        return interpolate(x, (self.size, self.size), mode=self.interpolation, align_corners=False, antialias=shrinks)


class OfSize(nn.Module):
    """Images as they are, if they have the one size that a network takes.

    Args:
        size: side of the square in pixels.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, size, size], as given.

        Raises:
            InputError: images of another size.
        """
        found, wanted = "x".join(map(str, x.shape[2:])), f"{self.size}x{self.size}"
        if found != wanted:
            problem, remedy = (
                f"the network takes images of {wanted} and no others",
                "write size: own to have them resized inside",
            )
            raise InputError(problem, place="backbone", found=found, remedy=remedy)
        return x
