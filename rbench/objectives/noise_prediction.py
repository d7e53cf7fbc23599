"""The objective of denoising diffusion."""

import torch
from torch import Generator, Tensor, nn

from rbench.networks.schedules import noised
from rbench.objectives.types import Objective, Terms


def noise_prediction() -> Objective:
    """L_simple: the noise in an image of a random noise level (Ho et al. 2020, arXiv 2006.11239, eq. 14).

    E over t uniform on 1..T, image and noise of the squared error of the network's noise; the mean over pixels, so that 1 is what
    predicting nothing gives. Images are scaled to [-1, 1]. The schedule is the network's: its `signal` [T + 1] is alpha-bar of every level.
    """

    def loss(network: nn.Module, images: Tensor, generator: Generator) -> tuple[Tensor, Terms]:
        signal: Tensor = network.signal  # type: ignore[assignment]
        device = images.device
        levels = torch.randint(1, len(signal), (len(images),), generator=generator, device=device)
        noise = torch.randn(images.shape, generator=generator, device=device, dtype=images.dtype)
        left = signal[levels].to(images.dtype).view(-1, 1, 1, 1)
        predicted = network(noised(2 * images - 1, left, noise), levels - 1)
        return (predicted - noise).square().mean(), {}

    return loss
