"""What purifiers and backbones return, held to what is expected of them: a tensor of a shape, a type and a device."""

from collections.abc import Mapping

import torch
from torch import Tensor

from rbench.errors import CellFailed


def images_of(returned: object, x: Tensor, owner: str) -> Tensor:
    """The images that a purifier returned for `x` [B, C, H, W].

    Raises:
        CellFailed: they are something else; names the owner, what it returned and what was expected.
    """
    found = _tensor(returned, f"images of shape {tuple(x.shape)}", "the images", owner)
    if found.shape != x.shape:
        raise CellFailed(
            f"{owner} returned {tuple(found.shape)}, not images of shape {tuple(x.shape)}", component=owner
        )
    return _numbers(found, x, "images in [0, 1]", owner)


def logits_of(returned: object, images: Tensor, owner: str) -> Tensor:
    """The logits [B, classes] that a backbone returned for images [B, C, H, W].

    Raises:
        CellFailed: they are something else; names the owner, what it returned and what was expected.
    """
    expected = f"logits of shape ({len(images)}, classes)"
    found = _tensor(returned, expected, "the logits", owner)
    if found.dim() != 2 or len(found) != len(images):
        raise CellFailed(f"{owner} returned {tuple(found.shape)}, not {expected}", component=owner)
    if found.shape[1] < 2:
        raise CellFailed(
            f"{owner} returned {tuple(found.shape)}, which tells no two classes apart, not {expected}.",
            component=owner,
            remedy="A classifier with one output z has the logits torch.cat([-z, z], 1)",
        )
    return _numbers(found, images, "logits", owner)


def _tensor(returned: object, expected: str, what: str, owner: str) -> Tensor:
    if isinstance(returned, Tensor):
        return returned
    problem = f"{owner} returned {type(returned).__name__}, not {expected}"
    raise CellFailed(problem, component=owner, remedy=_remedy(returned, what))


def _remedy(returned: object, what: str) -> str:
    if returned is None:
        return f"let forward end with `return` and {what}"
    if isinstance(getattr(returned, "logits", None), Tensor):
        return "let forward return its `.logits`"
    if isinstance(returned, Mapping):
        keys = ", ".join(map(repr, list(returned)[:5]))
        return f"let forward return the item that is {what} (its keys: {keys})"
    if isinstance(returned, tuple | list):
        return f"let forward return the one of its {len(returned)} items that is {what}"
    return f"let forward return {what} as a torch.Tensor"


def _numbers(found: Tensor, given: Tensor, what: str, owner: str) -> Tensor:
    if found.layout is not torch.strided:
        raise CellFailed(f"{owner} returned {what} as {found.layout}, not as a dense tensor", component=owner)
    if not found.is_floating_point():
        raise CellFailed(f"{owner} returned {found.dtype}, not {what} of a floating type", component=owner)
    if found.device != given.device:
        problem = f"{owner} returned {what} on {found.device}, not on {given.device}, where it was given its input."
        raise CellFailed(problem, component=owner, remedy="Make no tensor on a device of its own")
    return found
