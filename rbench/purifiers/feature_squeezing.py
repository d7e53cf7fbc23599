"""Feature squeezing."""

from typing import Annotated

from annotated_types import Interval
from torch import Tensor, nn

from rbench.purifiers.bit_depth import BitDepth
from rbench.purifiers.median import Median
from rbench.purifiers.non_local_means import NonLocalMeans


class FeatureSqueezing(nn.Module):
    """Colour depth, local and non-local smoothing (Xu, Evans, Qi 2018, arXiv 1704.01155, section 3).

    The source shows the classifier each squeezed image beside the original and calls an attack where the predictions are far apart
    (section 5). A purifier has images alone: here the squeezers come one after another, each on what the last one left. Defaults are those
    of the source's joint detector for CIFAR-10: 5 bits, a median of 2x2 pixels, non-local means 13-3-2; for ImageNet it takes 11-3-4.
    Non-local means compare RGB here; the source leaves them to OpenCV, which compares in CIELAB.

    Deterministic, nothing optimised at test time. Rounding to `bits` passes no gradient; `surrogate` leaves it out.

    Args:
        bits: per channel, to which colours are rounded; null for no rounding.
        median: side of the median filter's window in pixels; null for no filter.
        search: side of the search window of non-local means in pixels; null for none.
        patch: side of the patches that non-local means compare, in pixels.
        strength: of non-local means, on the [0, 1] pixel scale.
    """

    stochastic = False
    differentiable = False

    def __init__(
        self,
        *,
        bits: Annotated[int, Interval(ge=1, le=8)] | None = 5,
        median: Annotated[int, Interval(ge=2, le=15)] | None = 2,
        search: Annotated[int, Interval(ge=1, le=51)] | None = 13,
        patch: Annotated[int, Interval(ge=1, le=15)] = 3,
        strength: Annotated[float, Interval(gt=0, le=1)] = 2 / 255,
    ) -> None:
        super().__init__()
        self.differentiable = bits is None
        self.depth = nn.Identity() if bits is None else BitDepth(bits=bits)
        self.median = nn.Identity() if median is None else Median(window=median)
        means = None if search is None else NonLocalMeans(search=search, patch=patch, strength=strength)
        self.means = nn.Identity() if means is None else means

    def forward(self, x: Tensor) -> Tensor:
        """The squeezed images."""
        return self.surrogate(self.depth(x))

    def surrogate(self, x: Tensor) -> Tensor:
        """The same without the rounding of colours."""
        squeezed: Tensor = self.means(self.median(x))
        return squeezed
