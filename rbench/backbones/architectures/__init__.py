"""The networks that weights can be loaded into, by name: registered ones and torchvision's. A suite cannot name code to import."""

from typing import TYPE_CHECKING, Any

from rbench.errors import InputError
from rbench.registry import load, registry

if TYPE_CHECKING:
    from torch import nn

PREFIX = "torchvision:"


def registered(name: str) -> list[tuple[str, str, dict[str, Any]]]:
    """The registered network of a name, in the form that a `components` hook returns; none for torchvision's."""
    return [] if name.startswith(PREFIX) or name not in registry("network").names() else [("network", name, {})]


def build(name: str, classes: int | None = None) -> "nn.Module":
    """A network with fresh weights, on the CPU, without touching the global random generator.

    Args:
        name: a registered network, e.g. `fashion-cnn`, or `torchvision:` with a classification model of torchvision.
        classes: number of logits; the architecture's own if not given.
    """
    import torch

    options = {} if classes is None else {"classes": classes}
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        if name.startswith(PREFIX):
            return _torchvision(name.removeprefix(PREFIX), classes)
        if registered(name):
            network: nn.Module = load("network", name, options)
            return network
    remedy = f"known: {', '.join(registry('network').names())}, {PREFIX}NAME"
    raise InputError(f"unknown name '{name}'", place="architecture", remedy=remedy)


def require_torchvision_name(name: str) -> None:
    """Refuses a name that is not one of torchvision's classification models, with the nearest ones."""
    import difflib

    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        close = ", ".join(difflib.get_close_matches(name, known)) or "resnet18, vit_b_16, convnext_tiny"
        raise InputError(f"unknown torchvision model '{name}'.", remedy=f"Close: {close}")


def _torchvision(name: str, classes: int | None) -> "nn.Module":
    from torchvision import models

    require_torchvision_name(name)
    options: dict[str, object] = {} if classes is None else {"num_classes": classes}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False  # half a minute of initialisation that the weights replace
    network: nn.Module = models.get_model(name, weights=None, **options)
    return network
