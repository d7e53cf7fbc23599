"""Networks of transformers as modules from images to a tensor."""

from typing import Any

from torch import Tensor, nn

from rbench.errors import InputError


class _Asking(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network


class Logits(_Asking):
    """The logits of a network that answers with several things by name.

    Args:
        network: takes `pixel_values` [B, C, H, W].
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, classes]."""
        logits: Tensor = self.network(pixel_values=x).logits
        return logits


class Pooled(_Asking):
    """The pooled features of such a network: of DINOv2 and DINOv3 the class token after the last norm.

    Args:
        network: takes `pixel_values` [B, C, H, W].
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, features].

        Raises:
            InputError: the network pools nothing.
        """
        answer: Any = self.network(pixel_values=x)
        pooled: Tensor | None = getattr(answer, "pooler_output", None)
        if pooled is None:
            kind = type(self.network).__name__
            raise InputError(
                f"{kind} answers no pooled features", place="backbone", found=kind, remedy="use a classifier"
            )
        return pooled.flatten(1)


class Flipped(_Asking):
    """A network that takes the channels in the reverse order, BGR for RGB.

    Args:
        network: takes them so.
    """

    def forward(self, x: Tensor) -> Any:
        """What the network answers."""
        return self.network(x.flip(1))
