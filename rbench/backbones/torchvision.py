"""Classification models of torchvision, with its weights or a file of yours."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from rbench.errors import InputError, MissingError
from rbench.first_look import SUFFIXES, looked_at

if TYPE_CHECKING:
    from torch import nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _is_file(weights: str) -> bool:
    return Path(weights).suffix in SUFFIXES


def files(name: str, *, weights: str, **_: object) -> list[Path]:  # noqa: ARG001
    """The files whose bytes decide the outcome; named weights are fixed by the hash in their address."""
    return [looked_at(Path(weights))] if _is_file(weights) else []


def torchvision(
    name: str,
    *,
    weights: str,
    classes: Annotated[int, Ge(1)] | None = None,
    entry: str | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> "nn.Module":
    """A classification model of torchvision, normalising inside.

    Named weights are downloaded once into torch's cache and checked against their hash.

    Args:
        name: one of torchvision.models.list_models(), e.g. `resnet18`.
        weights: a name such as `IMAGENET1K_V1`, or a file, as for `file:`.
        classes: number of logits; read from the weights if not given.
        entry: which state dict of the file, where it holds several; `.` for the one that is in no container.
        mean: per channel, on the [0, 1] pixel scale; what the named weights declare, else ImageNet's.
        std: per channel, on the [0, 1] pixel scale; what the named weights declare, else ImageNet's.
    """
    from rbench.backbones import weights as files_
    from rbench.backbones.architectures import PREFIX
    from rbench.backbones.architectures.normalised import Normalised

    if (mean is None) != (std is None):
        raise InputError("mean and std belong together", place=f"torchvision:{name}", remedy="give both or neither")
    path, declared_mean, declared_std = Path(weights), IMAGENET_MEAN, IMAGENET_STD
    if not _is_file(weights):
        named = _named(name, weights)
        path = _fetched(named.url, f"torchvision:{name} {weights}")
        transforms = named.transforms()
        declared_mean, declared_std = tuple(transforms.mean), tuple(transforms.std)
    network = files_.load(path, PREFIX + name, classes, entry)
    if not _is_file(weights) and hasattr(network, "transform_input"):
        # What torchvision sets with its own weights of these two, which were trained on other means.
        network.transform_input = True  # type: ignore[assignment]
    wrapped = Normalised(network, mean or declared_mean, std or declared_std)
    return wrapped.eval().requires_grad_(requires_grad=False)


def _named(name: str, weights: str) -> Any:
    from torchvision import models

    from rbench.backbones.architectures import require_torchvision_name

    require_torchvision_name(name)
    known = {member.name: member for member in models.get_model_weights(name)}
    if weights not in known:
        raise InputError(
            f"unknown name '{weights}'",
            component=f"backbone 'torchvision:{name}'",
            place=f"torchvision:{name}: weights",
            remedy=f"known: {', '.join(known)}, or a file ending in {', '.join(SUFFIXES)}",
        )
    return known[weights]


def _fetched(url: str, what: str) -> Path:
    """The file of an address in torch's cache, downloaded if it is not there; its name carries its hash."""
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    start = path.stem.rsplit("-", 1)[1]
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), start, progress=False)
        except (OSError, RuntimeError) as error:
            cause = " ".join(str(error).split())[:120]
            problem, remedy = f"{url} could not be downloaded ({cause})", f"without network, copy it to {path}"
            raise MissingError(problem, place=what, remedy=remedy) from error
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if not digest.startswith(start):
        begins = f"sha256 starts with {digest[: len(start)]}"
        raise InputError(f"{begins}, not {start}", place=path, found=begins, remedy="delete it and run again")
    return path
