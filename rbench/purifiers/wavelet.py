"""Wavelet denoising."""

import math
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn.functional import pad

from rbench.purifiers.clip import clip

Shrink = Literal["bayes", "visu"]
Family = Literal["haar", "db2"]
Details = tuple[Tensor, Tensor, Tensor]
"""Of one level: fine along the rows, along the columns, along both; [B, C, H', W'] each."""

TAPS: dict[Family, tuple[float, ...]] = {
    "haar": (math.sqrt(1 / 2),) * 2,
    "db2": tuple(
        (1 + a * math.sqrt(3)) / (4 * math.sqrt(2)) if b else (3 + a * math.sqrt(3)) / (4 * math.sqrt(2))
        for a, b in ((1, 1), (1, 0), (-1, 0), (-1, 1))
    ),
}
"""Low-pass filters: Daubechies 1988, "Orthonormal bases of compactly supported wavelets", table 1, N = 1 and 2."""
MAD = 0.6745
"""Median of |u| of a standard normal u."""
FLAT = 1e-6
"""Details below this are rounding."""


class Wavelet(nn.Module):
    """Soft thresholding of wavelet coefficients (Donoho and Johnstone 1994, Biometrika 81; Chang et al. 2000, IEEE TIP 9).

    Deterministic and differentiable, nothing optimised at test time. The transform is orthogonal and periodic. Sides that are no
    multiple of 2^levels get copies of their last row and column, cut off at the end. Every channel is denoised on its own, its
    coarsest part kept as it is. The output is clipped to [0, 1].

    Args:
        wavelet: `haar` or Daubechies' `db2`, whose four taps reach around the edge of the image.
        levels: how often the image is halved.
        shrink: `bayes`, a threshold sigma^2 / sigma_x for every band, sigma_x the deviation of its clean coefficients (Chang et al., eq. 5
            to 12), or `visu`, sigma sqrt(2 log pixels) for all (Donoho and Johnstone, section 4.2).
        sigma: standard deviation of the noise on the [0, 1] pixel scale; null for the median of the finest diagonal details over 0.6745,
            flat areas left out.
    """

    stochastic = False
    differentiable = True

    def __init__(
        self,
        *,
        wavelet: Family = "haar",
        levels: Annotated[int, Interval(ge=1, le=12)] = 2,
        shrink: Shrink = "bayes",
        sigma: Annotated[float, Interval(ge=0, le=1)] | None = None,
    ) -> None:
        super().__init__()
        self.wavelet: Family = wavelet
        self.levels = levels
        self.shrink: Shrink = shrink
        self.sigma = sigma

    def forward(self, x: Tensor) -> Tensor:
        """The denoised images."""
        return clip(denoised(x, self.wavelet, self.levels, self.shrink, self.sigma))


def denoised(x: Tensor, wavelet: Family, levels: int, shrink: Shrink, sigma: float | None) -> Tensor:
    """Planes [B, C, H, W] of any range and size, denoised; arguments as of `Wavelet`."""
    height, width = x.shape[2:]
    unit = 2**levels
    coarse, details = transform(pad(x, [0, -width % unit, 0, -height % unit], mode="replicate"), wavelet, levels)
    deviation = _noise(details[0][2]) if sigma is None else x.new_full((1, 1, 1, 1), sigma)
    universal = deviation * math.sqrt(2 * math.log(height * width))

    def shrunk(band: Tensor) -> Tensor:
        threshold = universal if shrink == "visu" else _bayes(band, deviation)
        return band.sign() * (band.abs() - threshold).relu()

    kept = [(shrunk(rows), shrunk(columns), shrunk(both)) for rows, columns, both in details]
    return inverse(coarse, kept, wavelet)[:, :, :height, :width]


def transform(x: Tensor, wavelet: Family, levels: int) -> tuple[Tensor, list[Details]]:
    """The coarsest part and the details of every level, finest first; sides must be multiples of 2^levels."""
    details: list[Details] = []
    for _ in range(levels):
        low, high = _split(x, TAPS[wavelet])
        (x, columns), (rows, both) = (_split(part.mT, TAPS[wavelet]) for part in (low, high))
        x = x.mT
        details.append((rows.mT, columns.mT, both.mT))
    return x, details


def inverse(x: Tensor, details: list[Details], wavelet: Family) -> Tensor:
    """The image of `transform`."""
    for rows, columns, both in reversed(details):
        low, high = (_join(one.mT, other.mT, TAPS[wavelet]).mT for one, other in ((x, columns), (rows, both)))
        x = _join(low, high, TAPS[wavelet])
    return x


def _split(x: Tensor, taps: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Low and high half along the last axis."""
    shifted = [x.roll(-k, -1)[..., ::2] for k in range(len(taps))]
    low, high = torch.zeros_like(shifted[0]), torch.zeros_like(shifted[0])
    for k, part in enumerate(shifted):
        low, high = low + taps[k] * part, high + (-1) ** k * taps[-1 - k] * part
    return low, high


def _join(low: Tensor, high: Tensor, taps: tuple[float, ...]) -> Tensor:
    """The transpose of `_split`, which is its inverse."""
    low, high = (torch.stack([half, torch.zeros_like(half)], -1).flatten(-2) for half in (low, high))
    x = torch.zeros_like(low)
    for k in range(len(taps)):
        x = x + (taps[k] * low + (-1) ** k * taps[-1 - k] * high).roll(k, -1)
    return x


def _noise(finest: Tensor) -> Tensor:
    """The deviation of the noise in every channel, [B, C, 1, 1]; 0 where all is flat."""
    size = finest.abs().flatten(2)
    middle = torch.where(size > FLAT, size, torch.nan).nanmedian(2).values.nan_to_num(0.0)
    return middle[:, :, None, None] / MAD


def _bayes(band: Tensor, deviation: Tensor) -> Tensor:
    """The threshold of a band in every channel; one that is all noise has one above all its coefficients."""
    clean = band.square().mean((2, 3), keepdim=True) - deviation.square()
    return deviation.square() / clean.clamp(min=torch.finfo(band.dtype).tiny ** 0.5).sqrt()
