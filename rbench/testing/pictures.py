"""The images that components are asked about, and a classifier to stand behind a purifier."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from rbench.engine.defended import DefendedModel
from rbench.registry import load
from rbench.testing.known_answers import in_train_mode
from rbench.testing.subject import Shape
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

GREY: Shape = (1, 28, 28)
SHAPES: tuple[Shape, ...] = (GREY, (3, 32, 32), (3, 224, 224))
"""What a component is asked about if nobody says: the first shape that it takes."""
SEED = 0


def pictures(count: int, shape: Shape) -> Tensor:
    """Different 8-bit images [count, C, H, W] in [0, 1]: of the bundled data where they are of its shape, else drawn blots of colour."""
    if shape == GREY:
        data = load("dataset", "fashion-mnist-mini")
        return torch.from_numpy(data.read(data.ids[:: len(data) // count][:count]))
    generator = torch.Generator("cpu").manual_seed(SEED)
    coarse = torch.rand(count, shape[0], 5, 5, generator=generator, device="cpu")
    fine = torch.rand(count, *shape, generator=generator, device="cpu")
    blots = interpolate(coarse, shape[1:], mode="bilinear", align_corners=True)
    return (255 * (0.85 * blots + 0.15 * fine)).round() / 255


def numbered(x: Tensor, labels: Tensor) -> Batch:
    """The images as samples 0, 1, ..."""
    return Batch(x, labels, torch.arange(len(x), device=x.device))


def classifier(shape: Shape) -> nn.Module:
    """A frozen classifier of ten classes for images of this shape: the bundled one where it takes them, else one drawn at random."""
    made: nn.Module = load("backbone", "bundled:fashion-cnn") if shape == GREY else in_train_mode(channels=shape[0])
    return made.eval().requires_grad_(requires_grad=False)


def spread(count: int, of: int) -> np.ndarray:
    """Places of `count` samples of `of`, spread evenly, the first and the last among them; all where there are no more."""
    return np.unique(np.linspace(0, of - 1, min(count, of)).astype(np.int64))


def answer(model: DefendedModel, x: Tensor) -> Tensor:
    """Logits of images, without gradients."""
    with torch.no_grad():
        ids = torch.arange(len(x), device=x.device)
        logits: Tensor = model(x, Noise(SEED).of("audit", ids, x.device))
    return logits


def fitting(shape: Shape | None, ask: Callable[[Shape], object]) -> Shape | dict[Shape, BaseException]:
    """The first usual shape that a component takes.

    Args:
        shape: the only one that is tried; None for the usual ones.
        ask: asks about images of a shape, and raises where they are not taken.

    Returns:
        The shape, or what was raised for each that was tried.
    """
    raised = dict[Shape, BaseException]()
    for one in (shape,) if shape else SHAPES:
        try:
            ask(one)
        except Exception as error:
            raised[one] = error
        else:
            return one
    return raised
