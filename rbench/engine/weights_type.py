"""A backbone asked in the type of its weights, where it takes no other."""

import torch
from torch import Tensor, nn


def asked(backbone: nn.Module, images: Tensor) -> object:
    """What a backbone returns for images [B, C, H, W].

    One whose weights all are of another floating type, such as float16, and whose layers refuse the images for that, is given them in
    its own; a backbone that casts inside is left to do so.
    """
    try:
        return backbone(images)
    except RuntimeError as error:
        own = _type_of_weights(backbone)
        if own is None or own == images.dtype or "type" not in str(error):
            raise
    return backbone(images.to(own))


def _type_of_weights(backbone: nn.Module) -> torch.dtype | None:
    """The one floating type of all its parameters; None where there are several, or none."""
    types = {parameter.dtype for parameter in backbone.parameters() if parameter.is_floating_point()}
    return types.pop() if len(types) == 1 else None
