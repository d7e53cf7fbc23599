"""The denoising auto-encoder's objective."""

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Generator, Tensor, nn

from rbench.objectives.reconstruction import squared_error
from rbench.objectives.types import Objective, Terms


def denoising(*, sigma: Annotated[float, Gt(0)] = 0.1) -> Objective:
    """Reconstruction of the clean image from a noisy one (Vincent et al. 2008, "Extracting and Composing Robust Features").

    Args:
        sigma: standard deviation of the Gaussian noise, on the [0, 1] pixel scale; noisy images are clipped to that range.
    """

    def loss(network: nn.Module, images: Tensor, generator: Generator) -> tuple[Tensor, Terms]:
        noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
        error = squared_error(network((images + sigma * noise).clamp(0, 1)), images)
        return error, {"reconstruction": error}

    return loss
