"""What a network was trained to see, and the network behind it: pixels in [0, 1] of the data's size in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from annotated_types import Interval

from rbench.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from rbench.backbones.architectures.resized import Interpolation

Size = Annotated[int, Interval(ge=8, le=2048)] | Literal["own"]
"""Side in pixels that images are resized to before the network; `own`, that which it was trained on."""


@dataclass(frozen=True)
class Pixels:
    """How a network takes images.

    Attributes:
        mean: per channel, on the [0, 1] pixel scale; none for a network that takes pixels as they are.
        std: per channel, on the [0, 1] pixel scale; likewise.
        size: side in pixels that it was trained on; None where nobody says.
        fixed: whether it takes no other size.
        interpolation: how images were resized for it.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    size: int | None = None
    fixed: bool = False
    interpolation: str = "bilinear"

    def with_scale(self, mean: Sequence[float] | None, std: Sequence[float] | None, place: str) -> "Pixels":
        """The same with another mean and standard deviation, if a suite gives them.

        Raises:
            InputError: it gives one without the other.
        """
        if (mean is None) != (std is None):
            raise InputError("mean and std belong together", place=place, remedy="give both or neither")
        return self if mean is None or std is None else replace(self, mean=tuple(mean), std=tuple(std))


def taking(network: "nn.Module", pixels: Pixels, size: Size | None, place: str) -> "nn.Module":
    """A network behind the resize and the normalisation that it needs; frozen and in eval mode.

    The whole image is resized to a square, antialiased only where it shrinks; nothing is cropped. Gradients reach every pixel.

    Args:
        network: takes normalised images.
        pixels: how.
        size: that images are resized to; as they are if None.
        place: of the backbone, for messages.

    Raises:
        InputError: the network's own size is asked for and unknown, or mean and std are no such numbers.
    """
    from torch.nn import Sequential

    from rbench.backbones.architectures.normalised import Normalised
    from rbench.backbones.architectures.resized import OfSize, Resized

    side = pixels.size if size == "own" else size
    if size == "own" and side is None:
        raise InputError(
            "nobody says which size the network was trained on", place=f"{place}: size", remedy="give the number"
        )
    if isinstance(side, int):
        network = Sequential(Resized(side, _interpolation(pixels.interpolation)), network)
    elif pixels.fixed and pixels.size is not None:
        network = Sequential(OfSize(pixels.size), network)
    if pixels.mean:
        network = Normalised(network, pixels.mean, pixels.std)
    return network.eval().requires_grad_(requires_grad=False)


def _interpolation(name: str) -> "Interpolation":
    """The nearest that torch has a gradient and antialiasing for: libraries also know `nearest`, `lanczos`, `random`, ..."""
    from rbench.backbones.architectures.resized import Interpolation

    known: tuple[Interpolation, ...] = get_args(Interpolation)
    return next((one for one in known if one == name), "bicubic" if name in ("lanczos", "random") else "bilinear")


def square(sides: Sequence[int] | int, place: str) -> int:
    """The side of a square.

    Raises:
        InputError: height and width differ.
    """
    both = (sides, sides) if isinstance(sides, int) else tuple(sides)
    if len(set(both)) != 1:
        found = "x".join(map(str, both))
        raise InputError(
            "the network takes images that are no squares, which rbench does not make", place=place, found=found
        )
    return int(both[0])
