"""A few pictures of a cell, to be looked at: the clean image, the adversarial one, and what the purifier makes of each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from rbench.errors import InputError

MAX_BYTES = 64 * 2**20
SHOWN = ("clean", "adversarial", "purified clean", "purified adversarial")
"""The pictures of each sample, in their order."""


@dataclass(frozen=True)
class Gallery:
    """Pictures of the first samples of a cell, chosen by nothing but their order.

    Attributes:
        samples: int64 [K] ids.
        labels: int64 [K] true classes.
        pixels: uint8 [K, 4, C, H, W], in the order of `SHOWN`; for a random purifier, of the first draw that scores.
        predictions: int64 [K, 2] classes given to the clean and to the adversarial image, by the defended model on that draw.
    """

    samples: np.ndarray
    labels: np.ndarray
    pixels: np.ndarray
    predictions: np.ndarray

    def encode(self) -> bytes:
        """As safetensors."""
        arrays = {name: getattr(self, name) for name in ("samples", "labels", "pixels", "predictions")}
        return save({name: np.asarray(array, order="C") for name, array in arrays.items()})


def read(path: Path) -> Gallery | None:
    """The pictures in a file that nobody vouches for; None if there is no such file.

    Raises:
        InputError: it is broken.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES / 2**20:g} MiB; no pictures of a cell are.")
        arrays = load(path.read_bytes())
        found = Gallery(*(arrays[name] for name in ("samples", "labels", "pixels", "predictions")))
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: no pictures of a cell: {error}.") from None
    count = len(found.samples)
    shapes = [(count,), (count,), (count, len(SHOWN), *found.pixels.shape[2:]), (count, 2)]
    kinds = ["int64", "int64", "uint8", "int64"]
    given = (found.samples, found.labels, found.pixels, found.predictions)
    for array, shape, kind in zip(given, shapes, kinds, strict=True):
        if array.shape != shape or array.dtype != kind or found.pixels.ndim != 5:
            raise InputError(f"{path}: no pictures of a cell: found {array.dtype}{array.shape}.")
    return found
