"""Weights of your own in a network that rbench knows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from rbench.backbones.architectures import registered
from rbench.errors import InputError
from rbench.first_look import looked_at

if TYPE_CHECKING:
    from torch import nn


def files(path: Path, **_: object) -> list[Path]:
    """The file, looked at before it is hashed."""
    return [looked_at(path)]


def components(*, architecture: str, **_: object) -> list[tuple[str, str, dict[str, Any]]]:
    """The network that the weights are loaded into."""
    return registered(architecture)


def file(
    path: Path,
    *,
    architecture: str,
    classes: Annotated[int, Ge(1)] | None = None,
    entry: str | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> "nn.Module":
    """A known network with the weights of a file.

    Args:
        path: a .safetensors file (preferred), or one that `torch.save` wrote of tensors alone (.pt, .pth, .ckpt, .bin, ...).
        architecture: `fashion-cnn`, `cifar-resnet18`, `efficientnet-lite0` or another registered network, or `torchvision:` and a model's
            name; never code.
        classes: number of logits; read from the weights if not given.
        entry: which state dict of the file, where it holds several, e.g. `state_dict_ema`; `.` for the one that is in no container.
        mean: per channel, on the [0, 1] pixel scale, if the weights need normalised images; together with std.
        std: per channel, on the [0, 1] pixel scale, if the weights need normalised images; together with mean.
    """
    from rbench.backbones import weights
    from rbench.backbones.architectures.normalised import Normalised

    if (mean is None) != (std is None):
        raise InputError("mean and std belong together", place=f"file:{path}", remedy="give both or neither")
    network = weights.load(path, architecture, classes, entry)
    if mean is None or std is None:
        return network
    return Normalised(network, mean, std).eval().requires_grad_(requires_grad=False)
