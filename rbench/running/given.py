"""Images and labels that are handed over as values, by the rules for those of an `.npz` file."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rbench.datasets.npz import channels_first, from_arrays
from rbench.datasets.types import Dataset, check_labels
from rbench.errors import InputError

_SOURCE = "rbench.evaluate"
_STACKED = "give one tensor or array, e.g. torch.stack(images)"
_LOADED = "images, labels = map(torch.cat, zip(*loader)) makes tensors of it"


def given(images: object, labels: object) -> Dataset:
    """A data set of values in memory.

    Args:
        images: a tensor, an array or a list of them, [N, C, H, W], [N, H, W, C] or, if grey, [N, H, W]: floats in [0, 1], or uint8.
        labels: [N] class numbers from 0, likewise.

    Raises:
        InputError: one line with `images` or `labels`, the sample, what was found and what to do.
    """
    with by_argument():
        x, y = _array(images, "images"), _array(labels, "labels")
        numbers = check_labels(y, _SOURCE)
        x = _channels_first(x)
        if len(x) != len(numbers):
            counts = f"{len(x)} images but {len(numbers)} labels"
            raise InputError(counts, place="images and labels", found=counts, remedy="they must pair up")
        return from_arrays(x, y, provenance={"source": _SOURCE, "images": f"{x.dtype} to float32"})


@contextmanager
def by_argument() -> Iterator[None]:
    """A block in which errors about such a data set have the name of an argument, where those about a file have its name."""
    try:
        yield
    except InputError as error:
        error.place = (error.place or "").removeprefix(f"{_SOURCE}: ") or None
        raise


def _channels_first(x: NDArray[Any]) -> NDArray[Any]:
    """[N, C, H, W]; in doubt they are so already, as torch has them."""
    last = x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] not in (1, 3)
    return channels_first(x, "NHWC" if last else "NCHW", _SOURCE)


def _array(values: object, name: str) -> NDArray[Any]:
    if values is None:
        raise InputError("missing.", place=name, remedy=f"Give {'[N, C, H, W]' if name == 'images' else '[N]'}.")
    if isinstance(values, list | tuple) and values and all(isinstance(value, Tensor) for value in values):
        return np.stack([_of_tensor(value, name) for value in values]) if _alike(values) else _refuse(values, name)
    if isinstance(values, Tensor):
        return _of_tensor(values, name)
    if not isinstance(values, list | tuple | np.ndarray) and not hasattr(values, "__array__"):
        return _refuse(values, name)
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError):  # lists of several lengths, tensors that are no arrays
        return _refuse(values, name)
    return _refuse(values, name) if array.dtype == object and name == "images" else array


def _of_tensor(tensor: Tensor, name: str) -> NDArray[Any]:
    plain = tensor.detach()
    if plain.is_meta or plain.is_quantized or plain.layout is not torch.strided or plain.is_complex():
        what = (
            "meta" if plain.is_meta else "quantized" if plain.is_quantized else str(plain.layout).removeprefix("torch.")
        )
        found = f"a {'complex' if plain.is_complex() else what} tensor"
        raise InputError("expected a plain tensor.", place=name, found=found, remedy="Give its numbers.")
    half = plain.is_floating_point() and plain.dtype not in (torch.float32, torch.float64)
    array: NDArray[Any] = (plain.float() if half else plain).cpu().resolve_neg().numpy()
    return array


def _alike(tensors: list[Tensor] | tuple[Tensor, ...]) -> bool:
    return len({(tensor.shape, tensor.dtype) for tensor in tensors}) == 1


def _refuse(values: object, name: str) -> NDArray[Any]:
    """The error for what is no array of numbers."""
    found = type(values).__name__
    if isinstance(values, list | tuple):
        found = f"a {found} of {len(values)} values that make no array"
    kind = "a float32 array [N, C, H, W]" if name == "images" else "one class number per image, shape (N,)"
    remedy = _STACKED if isinstance(values, list | tuple) else _LOADED
    raise InputError(f"expected {kind}", place=name, found=found, remedy=remedy)
