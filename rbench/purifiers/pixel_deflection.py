"""Pixel deflection."""

from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn

from rbench.purifiers.clip import clip
from rbench.purifiers.jpeg_surrogate import TO_YCC
from rbench.purifiers.random_resize_pad import Uniform
from rbench.purifiers.wavelet import denoised


class PixelDeflection(nn.Module):
    """Random neighbours take the place of random pixels, then wavelets smooth the image (Prakash et al. 2018, arXiv 1801.08926, section 4).

    Random; differentiable, since pixels move and are not computed; nothing optimised at test time. A pixel, with all its channels, becomes
    one drawn uniformly from the window around it, cut at the edges of the image, one after another, each reading the image as the last one
    left it. Then a soft threshold of `bayes` on two levels of Haar wavelets (see `wavelet`), of RGB images in YCbCr (section 6).

    The source spares pixels where the class activation map of a classifier is high. That map needs the classifier's weights and is left
    out: all pixels are as likely, the source's own setting without a map. The authors' code draws a place for each channel alone and so
    splits the colours of a pixel; the paper does not.

    Args:
        deflections: how many pixels; the source's 200 are for ImageNet, 0.4 % of 224x224 pixels.
        window: pixels to each side from which the neighbour may come.
        sigma: standard deviation of the noise that wavelets take out, on the [0, 1] pixel scale.
    """

    stochastic = True
    differentiable = True

    def __init__(
        self,
        *,
        deflections: Annotated[int, Interval(ge=0, le=100_000)] = 200,
        window: Annotated[int, Interval(ge=1, le=1024)] = 10,
        sigma: Annotated[float, Interval(ge=0, le=1)] = 0.04,
    ) -> None:
        super().__init__()
        self.deflections = deflections
        self.window = window
        self.sigma = sigma

    def forward(self, x: Tensor, *, noise: Uniform) -> Tensor:
        """The deflected and smoothed images."""
        origin = self.origins(x.shape[2], x.shape[3], noise.uniform(self.deflections, 4))
        deflected = x.flatten(2).gather(2, origin[:, None].expand(-1, x.shape[1], -1)).view_as(x)
        if x.shape[1] != 3:
            return clip(denoised(deflected, "haar", 2, "bayes", self.sigma))
        matrix = torch.tensor(TO_YCC, dtype=x.dtype, device=x.device)
        ycc = denoised(torch.einsum("kc,bchw->bkhw", matrix, deflected), "haar", 2, "bayes", self.sigma)
        return clip(torch.einsum("ck,bkhw->bchw", matrix.inverse(), ycc))

    def origins(self, height: int, width: int, draws: Tensor) -> Tensor:
        """From which pixel of the image each pixel comes, [B, height * width].

        Args:
            height: of the image.
            width: of the image.
            draws: [B, deflections, 4] in [0, 1): row and column of the pixel, and of its neighbour in the window.
        """
        row, column = _drawn(draws[..., 0], 0, height - 1), _drawn(draws[..., 1], 0, width - 1)
        above, below = (row - self.window).clamp(min=0), (row + self.window).clamp(max=height - 1)
        left, right = (column - self.window).clamp(min=0), (column + self.window).clamp(max=width - 1)
        into = row * width + column
        source = _drawn(draws[..., 2], above, below) * width + _drawn(draws[..., 3], left, right)
        origin = torch.arange(height * width, device=draws.device).repeat(len(draws), 1)
        for i in range(draws.shape[1]):
            origin.scatter_(1, into[:, i : i + 1], origin.gather(1, source[:, i : i + 1]))
        return origin


def _drawn(share: Tensor, low: Tensor | int, high: Tensor | int) -> Tensor:
    """Uniform integers from low to high, both included."""
    count = high - low + 1
    return low + torch.minimum((share * count).floor().long(), torch.as_tensor(count - 1, device=share.device))
