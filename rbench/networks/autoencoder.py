"""The convolutional auto-encoder that the trained purifiers share."""

from itertools import pairwise
from typing import Annotated

import torch
from annotated_types import Interval, Len
from torch import Tensor, nn
from torch.nn import functional

Width = Annotated[int, Interval(ge=1, le=4096)]


class Autoencoder(nn.Module):
    """Images to a code of a few numbers and back: strided convolutions, one linear layer on each side of the code.

    The paper on CRoPD does not give its architecture; this one is rbench's. One 4x4 convolution of stride 2 per width halves the side, so
    every size from 28 to 224 pixels is a matter of the number of widths (three for 28 or 32, four for 64, five for 224). No normalisation
    layer and no dropout: an image is encoded the same way whatever else is in the batch. Weights start from the global generator of torch.

    Args:
        side: height and width of the images, in pixels.
        channels: 1 for grey images, 3 for colour.
        widths: channels after each convolution.
        latent: length D of the code.
        sphere: put the code on the sphere of radius sqrt(D). Cosine similarity does not see the length of a code and the decoder does, so
            without this an attacker may move the length freely.
    """

    def __init__(
        self,
        *,
        side: Annotated[int, Interval(ge=4, le=1024)],
        channels: Annotated[int, Interval(ge=1, le=16)] = 3,
        widths: Annotated[list[Width], Len(1, 8)] = [32, 64, 64],  # noqa: B006 - read, never written
        latent: Annotated[int, Interval(ge=1, le=65_536)] = 128,
        sphere: bool = True,
    ) -> None:
        super().__init__()
        sides = [side]
        for _ in widths:
            sides.append(sides[-1] // 2)
        if sides[-1] < 1:
            raise ValueError(f"{len(widths)} widths halve {side} pixels to nothing; give fewer")
        planes = [channels, *widths]
        self.sphere, self.latent = sphere, latent
        self.core = (planes[-1], sides[-1], sides[-1])
        flat = planes[-1] * sides[-1] ** 2
        down: list[nn.Module] = []
        for before, after in pairwise(planes):
            down += [nn.Conv2d(before, after, 4, 2, 1), nn.ReLU()]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, latent))
        up: list[nn.Module] = [nn.Linear(latent, flat), nn.ReLU(), nn.Unflatten(1, self.core)]
        for i in range(len(widths), 0, -1):
            odd = sides[i - 1] % 2
            up += [nn.ConvTranspose2d(planes[i], planes[i - 1], 4, 2, 1, output_padding=odd), nn.ReLU()]
        self.decoder = nn.Sequential(*up[:-1])

    def encode(self, x: Tensor) -> Tensor:
        """Codes [B, D] of images [B, C, H, W] in [0, 1]."""
        code: Tensor = self.encoder(x)
        return functional.normalize(code, dim=1) * self.latent**0.5 if self.sphere else code

    def decode(self, code: Tensor) -> Tensor:
        """Images [B, C, H, W] in (0, 1) of codes [B, D]."""
        return torch.sigmoid(self.decoder(code))

    def forward(self, x: Tensor) -> Tensor:
        """The images of the codes of images."""
        return self.decode(self.encode(x))

    def surrogate(self, x: Tensor) -> Tensor:
        """What an attacker may differentiate instead: the output without the sigmoid, whose gradient vanishes on black and white."""
        pixels: Tensor = self.decoder(self.encode(x))
        return pixels
