"""JPEG compression."""

import io
from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import pad

from rbench.purifiers.jpeg_surrogate import jpeg_surrogate

BLOCK, LONGEST = 8, 65_500
"""Pixels: side of a coded block, and the longest side that libjpeg takes."""


class Jpeg(nn.Module):
    """Real JPEG coding (Dziugaite et al. 2016, arXiv 1608.00853; Guo et al. 2018, arXiv 1711.00117).

    Every image is rounded to 8 bits, coded by libjpeg (colour as YCbCr with 4:2:0 chroma, grey as luminance alone)
    and decoded. No gradient passes; attackers go around it with BPDA, for which there is a differentiable stand-in.

    Args:
        quality: libjpeg's scale; 75 is what Guo et al. use.
    """

    stochastic = False
    differentiable = False

    def __init__(self, *, quality: Annotated[int, Interval(ge=1, le=100)] = 75) -> None:
        super().__init__()
        self.quality = quality

    def forward(self, x: Tensor) -> Tensor:
        """The decoded images."""
        if x.shape[1] not in (1, 3):
            raise ValueError(f"JPEG codes grey or RGB images, these have {x.shape[1]} channels")
        pixels = (x.detach() * 255).round().clamp(0, 255).to("cpu", torch.uint8)
        decoded = self._grey(pixels) if x.shape[1] == 1 else self._colour(pixels)
        return decoded.to(x.device, x.dtype) / 255

    def surrogate(self, x: Tensor) -> Tensor:
        """What an attacker differentiates instead."""
        return jpeg_surrogate(x, self.quality)

    def _grey(self, pixels: Tensor) -> Tensor:
        """All images as one tall picture, twenty times as fast as one by one and exactly equal.

        Grey blocks of 8x8 are coded independently. The edges are continued to whole blocks as libjpeg does. (Colour is
        different: the decoder smooths chroma across blocks.)
        """
        height, width = pixels.shape[2:]
        blocks = pad(pixels.float(), [0, -width % BLOCK, 0, -height % BLOCK], mode="replicate").to(torch.uint8)[:, 0]
        tall = [self._coded(part.flatten(0, 1).numpy()) for part in torch.split(blocks, LONGEST // blocks.shape[1])]
        return torch.from_numpy(np.concatenate(tall)).view(blocks.shape)[:, None, :height, :width]

    def _colour(self, pixels: Tensor) -> Tensor:
        decoded = [self._coded(image) for image in pixels.permute(0, 2, 3, 1).contiguous().numpy()]
        return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2)

    def _coded(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What comes back of one picture, [H, W] or [H, W, 3]."""
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=self.quality)
        with Image.open(buffer, formats=("JPEG",)) as decoded:
            return np.array(decoded)
