"""Images and labels that are handed over in memory, by the rules for those of an `.npz` file."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from rbench.datasets.npz import channels_first, from_arrays
from rbench.datasets.types import Dataset, check_labels
from rbench.errors import InputError

_SOURCE = "rbench.evaluate"
_STACKED = "give one tensor or array, e.g. torch.stack(images)"
_KINDS = "Give a tensor, an array, a list of them, a DataLoader, a data set or its name."


def given(images: object, labels: object, samples: int | None = None) -> Dataset:
    """A data set of what is in memory.

    Args:
        images: a tensor, an array or a list of them, [N, C, H, W], [N, H, W, C] or, if grey, [N, H, W]: floats in [0, 1], or uint8. Or both
            images and labels: a `DataLoader` or data set of torch that gives pairs of them, or a data set of rbench.
        labels: [N] class numbers from 0, likewise; None where `images` has them.
        samples: only so many of the first ones; all if None.

    Raises:
        InputError: one line with `images` or `labels`, the sample, what was found and what to do.
    """
    if isinstance(images, Dataset | DataLoader | TorchDataset) and labels is not None:
        remedy = f"Leave labels out: the {type(images).__name__} has them."
        raise InputError("given twice.", place="labels", remedy=remedy)
    if isinstance(images, Dataset):
        return _first(images, samples)
    if isinstance(images, TorchDataset):
        images = DataLoader(images, batch_size=64)
    if isinstance(images, DataLoader):
        images, labels = _pairs(images, samples)
    with by_argument():
        x, y = _array(images, "images"), _array(labels, "labels")
        numbers = check_labels(y, _SOURCE)
        x = _channels_first(x)
        if len(x) != len(numbers):
            counts = f"{len(x)} images but {len(numbers)} labels"
            raise InputError(counts, place="images and labels", found=counts, remedy="they must pair up")
        data = from_arrays(x, y, provenance={"source": _SOURCE, "images": f"{x.dtype} to float32"})
        return _first(data, samples)


def _first(data: Dataset, samples: int | None) -> Dataset:
    if samples is None:
        return data
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise InputError("expected int from 1.", place="samples", found=repr(samples))
    if samples > len(data):
        problem = f"{samples} asked for, but the data set has {len(data)}"
        raise InputError(problem, place="samples", found=str(samples))
    return only(data, data.ids[:samples])


def only(data: Dataset, ids: NDArray[np.int64]) -> Dataset:
    """Some samples of a data set, by their ids."""
    return replace(data, read=data.__dict__["_read"], chosen=ids)


def _pairs(loader: Iterable[Any], samples: int | None) -> tuple[Tensor, Tensor]:
    """Images and labels of a loader, no more batches than are needed."""
    xs, ys, count = list[Tensor](), list[Tensor](), 0
    batches = iter(loader)
    while samples is None or count < samples:
        try:
            batch = next(batches, None)
        except TypeError as error:  # pictures that no tensor was made of
            remedy = "Give its data set transform=torchvision.transforms.ToTensor()."
            raise InputError("has no tensors.", place="images", found=str(error)[:120], remedy=remedy) from None
        if batch is None:
            break
        if not isinstance(batch, list | tuple) or len(batch) < 2 or not all(isinstance(t, Tensor) for t in batch[:2]):
            found = f"a batch of {type(batch).__name__}"
            remedy = "Each begins with a tensor of images and one of labels."
            raise InputError("expected pairs of images and labels.", place="images", found=found, remedy=remedy)
        xs.append(batch[0])
        ys.append(batch[1].reshape(-1) if batch[1].ndim == 0 else batch[1])
        count += len(xs[-1])
    if not xs:
        raise InputError(
            "no samples", place="images", remedy="an accuracy of nothing is undefined, give at least one image"
        )
    return torch.cat(xs), torch.cat(ys)


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
    remedy = _STACKED if isinstance(values, list | tuple) else _KINDS
    raise InputError(f"expected {kind}", place=name, found=found, remedy=remedy)
