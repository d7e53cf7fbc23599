"""The networks that weights can be loaded into, by name: registered ones and torchvision's. A suite cannot name code to import."""

from typing import TYPE_CHECKING, Any

from rbench.backbones import written_names
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
        require_torchvision_name(name.removeprefix(PREFIX), "architecture")
        return []
    known = registry("network").names()
    if name in known:
        return [("network", name, {})]
    near = [*nearest(name, known), *([f"{PREFIX}{name}"] if name in torchvision_names() else [])]
    remedy = f"Did you mean {' or '.join(map(repr, near))}?" if near else f"There are {', '.join(known)}, {PREFIX}NAME."
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
        registered(name)
        if name.startswith(PREFIX):
            return _torchvision(name.removeprefix(PREFIX), classes)
        network: nn.Module = load("network", name, options)
        return network


def require_torchvision_name(name: str, parameter: str) -> None:
    """Refuses a name that is not one of torchvision's classification models, with the nearest ones; torch is imported for those alone.

    Args:
        name: as torchvision has it.
        parameter: in which it was given.

    Raises:
        ParameterError: there is no such model.
    """
    if name in torchvision_names():
        return
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        close = nearest(name, known, count=3) or ["resnet18", "vit_b_16", "convnext_tiny"]
        problem, remedy = "torchvision has no such model.", f"Close: {', '.join(close)}."
        raise ParameterError(parameter, problem, found=repr(name), remedy=remedy)


def torchvision_names() -> tuple[str, ...]:
    """The classification models of torchvision, from its source text."""
    return written_names.registered(written_names.folder_of("torchvision") / "models")


def _torchvision(name: str, classes: int | None) -> "nn.Module":
    from torchvision import models

    options: dict[str, object] = {} if classes is None else {"num_classes": classes}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False  # half a minute of initialisation that the weights replace
    network: nn.Module = models.get_model(name, weights=None, **options)
    return network
