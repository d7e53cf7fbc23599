"""What a backbone does to pixels before its network sees them, in sentences for the record."""

from torch import Tensor, nn

from rbench.backbones.architectures.normalised import Normalised
from rbench.backbones.architectures.resized import Resized
from rbench.backbones.zero_shot import Cosine


def told(backbone: nn.Module) -> tuple[str, ...]:
    """One line for each resize, normalisation and set of text features; empty where rbench sees none.

    Args:
        backbone: pixels in [0, 1] to logits.
    """
    return tuple(dict.fromkeys(line for part in backbone.modules() if (line := _line(part)) is not None))


def _line(part: nn.Module) -> str | None:
    if isinstance(part, Resized):
        return f"images are resized to {part.size}x{part.size} inside the backbone ({part.interpolation}, differentiable, nothing cropped)"
    if isinstance(part, Normalised):
        return f"pixels are normalised inside the backbone: mean {_numbers(part.mean)}, std {_numbers(part.std)}"
    if isinstance(part, Cosine):
        return f"zero-shot: logits are the cosines with the text features of {len(part.texts)} classes"
    return None


def _numbers(values: Tensor) -> str:
    return ", ".join(f"{value:.4g}" for value in values.flatten().tolist())
