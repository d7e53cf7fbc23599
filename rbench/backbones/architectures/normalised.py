"""A backbone that takes pixels in [0, 1]: subtract the mean, divide by the standard deviation, then the network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rbench.errors import InputError


class Normalised(nn.Module):
    """A network behind the per-channel normalisation that it was trained with.

    Args:
        network: takes normalised images.
        mean: per channel, on the [0, 1] pixel scale.
        std: per channel, on the [0, 1] pixel scale.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or min(std, default=0) <= 0:
            raise InputError(f"mean {tuple(mean)} and std {tuple(std)}: one number per channel each, std above 0")
        self.network = network
        self.register_buffer("mean", torch.tensor(mean, device="cpu").view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std, device="cpu").view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of pixels in [0, 1]."""
        if x.shape[1] != len(self.mean):  # or a grey image would silently become one of three channels
            raise InputError(f"images have {x.shape[1]} channels, the backbone's mean has {len(self.mean)}")
        logits: Tensor = self.network((x - self.mean) / self.std)
        return logits
