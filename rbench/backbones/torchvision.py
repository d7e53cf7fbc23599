"""Classification models of torchvision, with its weights or a file of yours."""

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from rbench.backbones.pixels import Pixels, Size
from rbench.errors import InputError
from rbench.first_look import SUFFIXES, looked_at

if TYPE_CHECKING:
    from torch import nn

DECIDES_NOTHING = ("download",)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LICENSE = "torchvision's code is BSD-3-Clause; weights may have terms of the data that they were trained on"


def items() -> tuple[str, ...]:
    """The classification models, read from the source text of torchvision."""
    from rbench.backbones.architectures import torchvision_names

    return torchvision_names()


def takes(name: str) -> bool:
    """Whether torchvision knows a classification model that is not written in its modules."""
    from torchvision import models

    return name in models.list_models(module=models)


def about(name: str) -> dict[str, str]:
    """The published weights of a model, where they come from, and the license."""
    listed = ", ".join(f"{weights} ({url})" for weights, url in _addresses(name).items())
    return {"weights": listed or "none are published", "license": _LICENSE}


def _is_file(weights: str) -> bool:
    return Path(weights).suffix in SUFFIXES


def files(name: str, *, weights: str, download: bool = False, **_: object) -> list[Path]:
    """The file of the weights: yours, or the published one in torch's cache."""
    from rbench.backbones.torch_cache import fetched_address

    if _is_file(weights):
        return [looked_at(Path(weights))]
    url = _address(name, weights)
    return [looked_at(fetched_address(url, what=f"backbone 'torchvision:{name}'", download=download))]


def torchvision(
    name: str,
    *,
    weights: str,
    download: bool = False,
    classes: Annotated[int, Ge(1)] | None = None,
    entry: str | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    size: Size | None = None,
) -> "nn.Module":
    """A classification model of torchvision, normalising inside.

    Named weights are read from torch's cache and checked against their hash; they are fetched only if `download` says so.

    Args:
        name: one of torchvision.models.list_models(), e.g. `resnet18`.
        weights: a name such as `IMAGENET1K_V1`, or a file, as for `file:`.
        download: whether named weights that are not in the cache may be fetched.
        classes: number of logits; read from the weights if not given.
        entry: which state dict of the file, where it holds several; `.` for the one that is in no container.
        mean: per channel, on the [0, 1] pixel scale; what the named weights declare, else ImageNet's.
        std: per channel, on the [0, 1] pixel scale; what the named weights declare, else ImageNet's.
        size: side that images are resized to before the network, square, nothing cropped; `own` is the side that the named weights
            declare; as they are if null.
    """
    from rbench.backbones import weights as files_
    from rbench.backbones.architectures import PREFIX
    from rbench.backbones.pixels import taking

    place = f"torchvision:{name}"
    pixels = Pixels(IMAGENET_MEAN, IMAGENET_STD).with_scale(mean, std, place)
    if not _is_file(weights):
        pixels = _declared(name, weights).with_scale(mean, std, place)
    (path,) = files(name, weights=weights, download=download)
    network = files_.load(path, PREFIX + name, classes, entry)
    if not _is_file(weights) and hasattr(network, "transform_input"):
        # What torchvision sets with its own weights of these two, which were trained on other means.
        network.transform_input = True  # type: ignore[assignment]
    return taking(network, pixels, size, place)


def _declared(name: str, weights: str) -> Pixels:
    """What named weights were trained to see, as torchvision says."""
    from torchvision import models

    _address(name, weights)
    declared = models.get_model_weights(name)[weights].transforms()
    mean, std, side = tuple(declared.mean), tuple(declared.std), int(declared.crop_size[0])
    return Pixels(mean, std, side, interpolation=declared.interpolation.value)


def _address(name: str, weights: str) -> str:
    """Where named weights are published.

    Raises:
        InputError: the model is unknown, or has no weights of this name; with those that there are.
    """
    known = _addresses(name)
    if weights not in known:
        raise InputError(
            f"unknown name '{weights}'",
            component=f"backbone 'torchvision:{name}'",
            place=f"torchvision:{name}: weights",
            remedy=f"known: {', '.join(known) or 'none'}, or a file ending in {', '.join(SUFFIXES)}",
        )
    return known[weights]


def _addresses(name: str) -> dict[str, str]:
    """The addresses of the published weights of a model by their names, read from the source text of torchvision."""
    from rbench.backbones.written_names import defining, folder_of

    text = defining(folder_of("torchvision") / "models", name)
    if text is None:
        from rbench.backbones.architectures import require_torchvision_name

        require_torchvision_name(name, "name")
        return {}
    body = ast.parse(text).body
    model = next(node for node in body if isinstance(node, ast.FunctionDef) and node.name == name)
    said = {named.id for argument in model.args.kwonlyargs for named in _names_in(argument.annotation)}
    listed = next((node for node in body if isinstance(node, ast.ClassDef) and node.name in said), None)
    found = {}
    for entry in listed.body if listed is not None else ():
        if (
            isinstance(entry, ast.Assign)
            and isinstance(entry.value, ast.Call)
            and isinstance(entry.targets[0], ast.Name)
        ):
            url = next((word.value for word in entry.value.keywords if word.arg == "url"), None)
            if isinstance(url, ast.Constant):
                found[entry.targets[0].id] = str(url.value)
    return found


def _names_in(annotation: ast.expr | None) -> list[ast.Name]:
    return [] if annotation is None else [node for node in ast.walk(annotation) if isinstance(node, ast.Name)]
