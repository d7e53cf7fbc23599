"""Bit-depth reduction."""

from typing import Annotated

from annotated_types import Interval
from torch import Tensor, nn


class BitDepth(nn.Module):
    """Colour depth squeezing (Xu, Evans, Qi 2018, arXiv 1704.01155, section 3.1).

    Pixels go to the nearest of 2^bits evenly spaced levels, 0 and 1 among them.
    Rounding has a zero gradient almost everywhere; attackers go around it with BPDA, whose stand-in is the
    identity.

    Args:
        bits: per channel; Xu et al. use 4 and 5 for colour images, 1 for handwritten digits.
    """

    stochastic = False
    differentiable = False

    def __init__(self, *, bits: Annotated[int, Interval(ge=1, le=8)] = 4) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        """The rounded images."""
        steps = 2**self.bits - 1
        purified: Tensor = (x * steps).round() / steps
        return purified
