"""The networks that weights can be loaded into, by name: registered ones and torchvision's. A suite cannot name code to import."""

from typing import TYPE_CHECKING, Any

from rbench.errors import InputError
from rbench.registry import load, registry
from rbench.signature import ParameterError, nearest

if TYPE_CHECKING:
    from torch import nn

PREFIX = "torchvision:"


def registered(name: str) -> list[tuple[str, str, dict[str, Any]]]:
    """The registered network of a name, in the form that a `components` hook returns; none for torchvision's.

    Raises:
        ParameterError: there is no such network.
    """
    if name.startswith(PREFIX):
        return []
    known = registry("network").names()
    if name in known:
        return [("network", name, {})]
    close = nearest(name, known)
    remedy = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(known)} and {PREFIX}NAME."
    raise ParameterError("architecture", "no such network.", found=repr(name), remedy=remedy)


def build(name: str, classes: int | None = None) -> "nn.Module":
    """A network with fresh weights, on the CPU, without touching the global random generator.

    Args:
        name: a registered network, e.g. `fashion-cnn`, or `torchvision:` with a classification model of torchvision.
        classes: number of logits; the architecture's own if not given.

    Raises:
        InputError: there is no such network.
    """
    import torch

    options = {} if classes is None else {"classes": classes}
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        if name.startswith(PREFIX):
            return _torchvision(name.removeprefix(PREFIX), classes)
        registered(name)
        network: nn.Module = load("network", name, options)
        return network


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
