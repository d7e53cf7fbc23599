"""Arrays saved by NumPy: `np.savez(path, x=images, y=labels)`."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rbench.datasets.archives import read_arrays
from rbench.datasets.files import require
from rbench.datasets.types import Dataset, Ids, Images, check_labels, refuse_range
from rbench.errors import InputError

Layout = Literal["auto", "NCHW", "NHWC"]


def npz(path: Path, *, images: str | None = None, labels: str | None = None, layout: Layout = "auto") -> Dataset:
    """Arrays of an .npz file: images `x` (or `images`) and labels `y` (or `labels`).

    Images are uint8 in 0..255 or floats in [0, 1], [N, C, H, W], [N, H, W, C] or, if grey, [N, H, W]. Pickled
    objects are never loaded.

    Args:
        path: the .npz file.
        images: name of the array of images, if it is another.
        labels: name of the array of labels, if it is another.
        layout: where the channel axis is; `auto` looks for the axis of length 1 or 3.
    """
    x, y = read_arrays(
        require(path, ".npz file"),
        lambda names: (
            _key(path, names, "images", images, ("x", "images")),
            _key(path, names, "labels", labels, ("y", "labels")),
        ),
    )
    numbers = check_labels(y, str(path))
    x = channels_first(x, layout, str(path))
    if len(x) != len(numbers):
        counts = f"{len(x)} images but {len(numbers)} labels"
        raise InputError(counts, place=path, found=counts, remedy="they must pair up")
    return from_arrays(x, y, provenance={"source": str(path), "images": f"{x.dtype} to float32"})


def from_arrays(
    x: NDArray[np.generic], y: NDArray[Any], *, provenance: dict[str, str], classes: tuple[str, ...] = ()
) -> Dataset:
    """A dataset of images [N, C, H, W] in memory, uint8 or float."""
    source = provenance["source"]
    check_pixels(x, source)
    scale = np.float32(255 if x.dtype == np.uint8 else 1)

    def read(ids: Ids) -> Images:
        return x[ids].astype(np.float32) / scale

    notes = () if x.dtype in (np.uint8, np.float32) else (f"images of {x.dtype} were rounded to float32",)
    return Dataset(y, read, classes, provenance, notes=notes)


def check_pixels(x: NDArray[np.generic], source: str) -> None:
    """Refuses arrays that are neither bytes nor floats in [0, 1]; names the first offending sample."""
    if x.dtype == np.uint8:
        if x.size and int(x.max()) <= 1:
            values, remedy = f"uint8 with largest value {x.max()}", "bytes go from 0 to 255 (or store floats in [0, 1])"
            raise InputError(f"{values}, almost black", place=f"{source}: images", found=values, remedy=remedy)
        return
    if not np.issubdtype(x.dtype, np.floating):
        low, high = (x.min(), x.max()) if x.size and x.dtype.kind in "iu" else ("?", "?")
        values = f"{x.dtype} values from {low} to {high}"
        remedy = "store uint8 (0 to 255) or floats in [0, 1]"
        raise InputError(values, place=f"{source}: images", found=values, remedy=remedy)
    low, high = x.min((1, 2, 3)), x.max((1, 2, 3))
    bad = np.flatnonzero(~((low >= 0) & (high <= 1)))
    if len(bad):
        refuse_range(source, int(bad[0]), float(low[bad[0]]), float(high[bad[0]]))


def channels_first(x: NDArray[np.generic], layout: Layout, source: str) -> NDArray[np.generic]:
    """[N, C, H, W] from any of the accepted layouts."""
    if x.ndim == 3 and 0 not in x.shape[1:]:
        return x[:, None]
    if x.ndim != 4 or 0 in x.shape[1:]:
        problem = "expected [N, C, H, W], [N, H, W, C] or [N, H, W]"
        raise InputError(problem, place=f"{source}: images", found=f"shape {x.shape}")
    first, last = x.shape[1] in (1, 3), x.shape[3] in (1, 3)
    if layout == "auto" and first == last:
        doubt = "both could be" if first else "neither is"
        shape = f"shape {x.shape}"
        problem = f"{shape}: {doubt} the channel axis (length 1 or 3)"
        raise InputError(problem, place=f"{source}: images", found=shape, remedy="give layout: NCHW or NHWC")
    return x.transpose(0, 3, 1, 2) if layout == "NHWC" or (layout == "auto" and last) else x


def _key(path: Path, names: list[str], what: str, wanted: str | None, usual: tuple[str, ...]) -> str:
    for name in usual if wanted is None else (wanted,):
        if name in names:
            return name
    problem, arrays = f"no array '{wanted or usual[0]}' of {what}", ", ".join(names) or "no arrays"
    raise InputError(problem, place=path, found=arrays, remedy=f"name it with {what}: NAME")
