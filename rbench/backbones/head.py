"""Heads: another linear classifier on the frozen features of a backbone."""

import copy
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rbench.backbones.weights import read
from rbench.bundled_files import weights_file
from rbench.errors import InputError
from rbench.registry import load


class Features(nn.Module):
    """A backbone up to the input of its last linear layer.

    Args:
        network: a backbone whose last linear layer passes its input on.
        width: of that input.
        layer: name of the layer, for the message if the output is something else.
    """

    def __init__(self, network: nn.Module, width: int, layer: str) -> None:
        super().__init__()
        self.network = network
        self.width = width
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, width] of pixels [B, C, H, W] in [0, 1]."""
        features: Tensor = self.network(x)
        if features.dim() != 2 or features.shape[1] != self.width:
            raise InputError(
                f"backbone: {self.layer} is its last linear layer but not what answers (found {tuple(features.shape)} "
                f"behind it, not {self.width} features); it takes no head"
            )
        return features


def load_backbone(name: str, params: Mapping[str, Any] | None = None) -> nn.Module:
    """A backbone by its registry name.

    Args:
        name: with the item after a colon for a source.
        params: its parameters, and `head` if it gets another one: a file or `bundled:NAME`.

    Raises:
        InputError: it is unknown or broken, refuses its parameters, or the head does not fit.
        MissingError: it needs a module or file that is not there.
    """
    given = dict(params or {})
    head = given.pop("head", None)
    backbone: nn.Module = load("backbone", name, given)
    if head is None:
        return backbone
    if not isinstance(backbone, nn.Module):
        raise InputError(
            f"backbone '{name}' is no torch.nn.Module (got {type(backbone).__name__}), so it takes no head"
        )
    return with_head(backbone, head)


def with_head(backbone: nn.Module, path: str | Path) -> nn.Module:
    """A copy of a backbone with the linear classifier of a file on its features; frozen, in eval mode.

    Args:
        backbone: [0, 1] pixels to logits; left as it is.
        path: a safetensors file of `weight` [classes, features] and `bias` [classes], or `bundled:NAME`.

    Raises:
        InputError: the file is no head, or is for another number of features.
    """
    file = weights_file(path)
    weight, bias = _read(file)
    features = features_of(backbone)
    if weight.shape[1] != features.width:
        raise InputError(
            f"{file}: a head for {weight.shape[1]} features, but {features.layer}, the last linear layer of the backbone, "
            f"takes {features.width}; train it on this backbone"
        )
    like = next(features.parameters(), bias)
    head = nn.Linear(features.width, len(bias), device="meta")  # elsewhere it would draw from the global generator
    head.weight, head.bias = nn.Parameter(weight.to(like)), nn.Parameter(bias.to(like))
    whole = nn.Sequential(OrderedDict(features=features, head=head))
    return whole.eval().requires_grad_(requires_grad=False)


def features_of(backbone: nn.Module) -> Features:
    """A copy of a backbone that ends before its last linear layer; frozen, in eval mode, differentiable in the images.

    The last layer is that of the order in which the backbone registers its layers. Where another one answers, the first images are refused.

    Args:
        backbone: [0, 1] pixels to logits; left as it is.

    Raises:
        InputError: it has no linear layer.
    """
    linear = [(name, part) for name, part in backbone.named_modules() if name and isinstance(part, nn.Linear)]
    if not linear:
        raise InputError(f"backbone: {type(backbone).__name__} has no linear layer, so it takes no head")
    name, last = linear[-1]
    network = copy.deepcopy(backbone)
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, nn.Identity())
    return Features(network, last.in_features, name).eval().requires_grad_(requires_grad=False)


def _read(file: Path) -> tuple[Tensor, Tensor]:
    state = read(file)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    weight, bias = state.get("weight", torch.empty(0)), state.get("bias", torch.empty(0))
    fits = len(state) == 2 and weight.dim() == 2 and len(weight) >= 2 and bias.shape == weight.shape[:1]
    if not fits or not (weight.is_floating_point() and bias.is_floating_point()):
        found = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:3])
        more = f" and {len(shapes) - 3} more" if len(shapes) > 3 else ""
        raise InputError(
            f"{file}: no head; found {found or 'nothing'}{more}, expected weight (classes, features) and bias (classes,)"
        )
    return weight, bias
