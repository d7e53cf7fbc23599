"""The same function in less time: batch norms folded into the convolutions before them, and the memory order that convolutions like."""

import contextlib
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class ChannelsLast(nn.Module):
    """A network whose images lie in memory with their channels last."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Any:
        """What the network returns."""
        return self.network(x.contiguous(memory_format=torch.channels_last))


def convolutional(network: nn.Module) -> bool:
    """Whether there is a convolution in it."""
    return any(isinstance(part, nn.Conv2d) for part in network.modules())


def fold(network: nn.Module, x: Tensor) -> int:
    """Folds batch norms into the convolutions whose output they are given, in place; returns how many.

    Which these are shows when the network runs, whatever calls its layers: a batch norm is folded if it and the convolution run once, and
    its input is what the convolution returned. Who else uses that output is not seen, so the caller has to compare.

    Args:
        network: in eval mode.
        x: some images [B, C, H, W] to run it on.
    """
    runs: Counter[nn.Module] = Counter()
    made: dict[
        int, tuple[nn.Module, Tensor]
    ] = {}  # keeps the tensors alive, so that none is given the number of another
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def ran(part: nn.Module, given: tuple[Any, ...], returned: Any) -> None:
        runs[part] += 1
        if type(part) is nn.Conv2d:
            made[id(returned)] = part, returned
        elif type(part) is nn.BatchNorm2d and id(given[0]) in made:
            pairs.append((made[id(given[0])][0], part))  # type: ignore[arg-type]

    layers = [part for part in network.modules() if type(part) in (nn.Conv2d, nn.BatchNorm2d)]
    with contextlib.ExitStack() as hooks, torch.no_grad():
        for layer in layers:
            hooks.callback(layer.register_forward_hook(ran).remove)
        network(x)
    once = [(conv, norm) for conv, norm in pairs if runs[conv] == runs[norm] == 1 and norm.running_var is not None]
    new: dict[nn.Module, nn.Module] = {}
    for conv, norm in once:
        new[conv], new[norm] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    for part in list(network.modules()):
        for name, child in part.named_children():
            if child in new:
                setattr(part, name, new[child])
    return len(once)
