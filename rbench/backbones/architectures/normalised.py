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

    Raises:
        InputError: they are of other numbers of channels, or outside [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or min(std, default=0) <= 0:
            raise InputError(f"mean {tuple(mean)} and std {tuple(std)}: one number per channel each, std above 0")
        _require_pixel_scale(mean, std)
        self.network = network
        self.register_buffer("mean", torch.tensor(mean, device="cpu").view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std, device="cpu").view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of pixels in [0, 1]."""
        if x.shape[1] != len(self.mean):  # or a grey image would silently become one of three channels
            raise InputError(f"images have {x.shape[1]} channels, the backbone's mean has {len(self.mean)}")
        logits: Tensor = self.network((x - self.mean) / self.std)
        return logits


def _require_pixel_scale(mean: Sequence[float], std: Sequence[float]) -> None:
    """Refuses numbers outside [0, 1], of which most are on the scale of bytes; a network would see nearly the same in every image."""
    highest = {"mean": max(mean, default=0), "std": max(std, default=0)}
    wrong = [name for name, values in (("mean", mean), ("std", std)) if not all(0 <= value <= 1 for value in values)]
    if not wrong:
        return
    found = f"mean {list(mean)}, std {list(std)}"
    remedy = "give the numbers that the weights were trained with"
    if all(0 <= value <= 255 for value in (*mean, *std)):
        # A std of 1 beside a mean of bytes is that of bytes too; one below 1 is of the [0, 1] scale already.
        byted = {name for name, value in highest.items() if value > 1 or (value == 1 and max(highest.values()) > 1)}
        if not any(mean):
            byted |= {"mean"}
        written = {
            name: [round(value / 255, 5) if name in byted else value for value in values]
            for name, values in (("mean", mean), ("std", std))
        }
        remedy = f"divided by 255 they are mean: {written['mean']}, std: {written['std']}"
    raise InputError("mean and std must lie in [0, 1], the scale of pixels", found=found, remedy=remedy)
