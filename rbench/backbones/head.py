"""Heads: another linear classifier on the frozen features of a backbone."""

import copy
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rbench.backbones.named import Named
from rbench.backbones.weights import header, read
from rbench.bundled_files import weights_file
from rbench.errors import InputError
from rbench.registry import load

LAYER = "layer"
"""Key in the header of a head's file; its value names the linear layer whose input the head takes; the last one if there is no such key."""


class _ReachedError(Exception):
    """Raised when the features are computed, to skip the rest of the backbone."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features


class Features(nn.Module):
    """A backbone up to the input of one of its linear layers.

    Args:
        network: a backbone that returns that input, or raises it as `_ReachedError`.
        width: number of features in that input.
        layer: name of the layer, for messages.
    """

    def __init__(self, network: nn.Module, width: int, layer: str) -> None:
        super().__init__()
        self.network = network
        self.width = width
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, width] of pixels [B, C, H, W] in [0, 1]."""
        try:
            features: Tensor = self.network(x)
        except _ReachedError as reached:
            features = reached.features
        if features.dim() != 2 or features.shape[1] != self.width:
            raise InputError(
                f"{self.layer} is not what answers or not reached: not {self.width} features an image",
                place="backbone",
                found=str(tuple(features.shape)),
                remedy="it takes no head there",
            )
        return features


def _reached(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:  # noqa: ARG001 - the shape of a hook
    raise _ReachedError(inputs[0])


def load_backbone(name: str, params: Mapping[str, Any] | None = None) -> nn.Module:
    """A backbone by its registry name.

    Args:
        name: with the item after a colon for a source.
        params: its parameters; `head` if it gets another linear classifier: a file or `bundled:NAME`; `class_names` for its logits.

    Raises:
        InputError: it is unknown or broken, refuses its parameters, or the head does not fit.
        MissingError: it needs a module or file that is not there.
    """
    given = dict(params or {})
    head, names = given.pop("head", None), given.pop("class_names", None)
    backbone: nn.Module = load("backbone", name, given)
    if head is None and names is None:
        return backbone
    if not isinstance(backbone, nn.Module):
        component, kind = f"backbone '{name}'", type(backbone).__name__
        problem = f"{component} is no torch.nn.Module, so it takes no head and no class_names"
        raise InputError(problem, component=component, found=kind)
    whole = backbone if head is None else with_head(backbone, head)
    return whole if names is None else Named(whole, names)


def with_head(backbone: nn.Module, path: str | Path) -> nn.Module:
    """A copy of a backbone with the linear classifier of a file on its features; frozen, in eval mode.

    Args:
        backbone: [0, 1] pixels to logits; left as it is.
        path: a safetensors file of `weight` [classes, features] and `bias` [classes], or `bundled:NAME`. Its header may name the `layer`
            whose input it takes.

    Raises:
        InputError: the file is no head, or is for another number of features.
    """
    file = weights_file(path)
    weight, bias = _read(file)
    features = features_of(backbone, header(file).get(LAYER))
    if weight.shape[1] != features.width:
        width = f"a head for {weight.shape[1]} features"
        problem = f"{width}, but {features.layer} of the backbone takes {features.width}"
        raise InputError(problem, place=file, found=width, remedy="train it on this backbone")
    like = next(features.parameters(), bias)
    head = nn.Linear(features.width, len(bias), device="meta")  # elsewhere it would draw from the global generator
    head.weight, head.bias = nn.Parameter(weight.to(like)), nn.Parameter(bias.to(like))
    whole = nn.Sequential(OrderedDict(features=features, head=head))
    return whole.eval().requires_grad_(requires_grad=False)


def features_of(backbone: nn.Module, layer: str | None = None) -> Features:
    """A copy of a backbone that ends before a linear layer; frozen, in eval mode, differentiable in the images.

    Args:
        backbone: [0, 1] pixels to logits; left as it is.
        layer: name of the linear layer; if None, the last in the order in which the backbone registers its layers, which must be the one
            that computes the logits.

    Raises:
        InputError: it has no linear layer, or none of this name.
    """
    linear = [name for name, part in backbone.named_modules() if name and isinstance(part, nn.Linear)]
    if not linear:
        kind = type(backbone).__name__
        raise InputError(f"{kind} has no linear layer, so it takes no head", place="backbone", found=kind)
    if layer is not None and layer not in linear:
        known = ", ".join(linear[-5:])
        problem = f"the backbone has no linear layer {layer!r}"
        raise InputError(problem, place="layer", remedy=f"the last ones are {known}")
    network = copy.deepcopy(backbone)
    name = layer or linear[-1]
    cut: nn.Linear = network.get_submodule(name)  # type: ignore[assignment]
    if layer is None:
        parent, _, own = name.rpartition(".")
        setattr(network.get_submodule(parent), own, nn.Identity())  # so that a layer behind it is noticed
    else:
        cut.register_forward_pre_hook(_reached)
    return Features(network, cut.in_features, name).eval().requires_grad_(requires_grad=False)


def _read(file: Path) -> tuple[Tensor, Tensor]:
    state = read(file)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    weight, bias = state.get("weight", torch.empty(0)), state.get("bias", torch.empty(0))
    fits = len(state) == 2 and weight.dim() == 2 and len(weight) >= 2 and bias.shape == weight.shape[:1]
    if not fits or not (weight.is_floating_point() and bias.is_floating_point()):
        listed = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:3])
        more = f" and {len(shapes) - 3} more" if len(shapes) > 3 else ""
        problem = "expected a head: weight (classes, features) and bias (classes,)"
        raise InputError(problem, place=file, found=f"{listed or 'nothing'}{more}")
    return weight, bias
