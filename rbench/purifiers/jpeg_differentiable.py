"""Differentiable JPEG compression."""

from typing import Annotated

from annotated_types import Interval
from torch import Tensor, nn

from rbench.purifiers.clip import clip
from rbench.purifiers.jpeg_surrogate import jpeg_surrogate


class JpegDifferentiable(nn.Module):
    """JPEG with round(u) + (u - round(u))^3 for round(u) (Shin and Song 2017, "JPEG-resistant adversarial images").

    What attackers of `jpeg` differentiate in its place, here as the defence itself: the rows of the two differ by what rounding alone hides
    from an attacker. Deterministic and differentiable, nothing optimised at test time. Grey images are coded as luminance alone, colour as
    YCbCr with 4:2:0 chroma; nothing is rounded to 8 bits. The output is clipped to [0, 1].

    Args:
        quality: libjpeg's scale.
    """

    stochastic = False
    differentiable = True

    def __init__(self, *, quality: Annotated[int, Interval(ge=1, le=100)] = 75) -> None:
        super().__init__()
        self.quality = quality

    def forward(self, x: Tensor) -> Tensor:
        """The coded images."""
        if x.shape[1] not in (1, 3):
            raise ValueError(f"JPEG codes grey or RGB images, these have {x.shape[1]} channels")
        return clip(jpeg_surrogate(x, self.quality))
