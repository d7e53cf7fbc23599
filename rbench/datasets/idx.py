"""The idx files of MNIST and data sets in its format. NumPy is imported only to load them, since plans need the files alone."""

import gzip
import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rbench.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rbench.datasets.types import Dataset

Split = Literal["train", "test"]
NAMES: dict[Split, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_ORIGIN = "Fashion-MNIST is apt-get install dataset-fashion-mnist (then /usr/share/datasets/fashion-mnist)"
_BYTES = 8
"""The third byte of the magic number of a file of unsigned bytes; data sets of this format have no other type."""


def files(path: Path, *, split: Split = "test") -> list[Path]:
    """The files whose bytes decide the outcome: images and labels of the split."""
    return [_file(path, name) for name in NAMES[split]]


def idx(path: Path, *, split: Split = "test") -> "Dataset":
    """MNIST, Fashion-MNIST or others of their format: a folder of idx files, gzipped or not; grey images, usually 28x28.

    The format is that of LeCun, Cortes and Burges (1998). The files do not name the classes, so the data set has no names.

    Args:
        path: the folder of `train-images-idx3-ubyte.gz`, `t10k-labels-idx1-ubyte.gz` and so on.
        split: which part; the files of `test` start with `t10k`.
    """
    import numpy as np

    from rbench.datasets.npz import from_arrays

    x, y = read_split(path, split)
    return from_arrays(x[:, None], y.astype(np.int64), provenance={"source": str(path), "split": split})


def read_split(path: Path, split: Split) -> "tuple[NDArray[np.uint8], NDArray[np.uint8]]":
    """Images [N, H, W] and labels [N] as bytes.

    Args:
        path: the folder of the idx files.
        split: which part.

    Raises:
        InputError: a file is missing, broken or something else, or images and labels do not pair up.
    """
    images, labels = files(path, split=split)
    x, y = read_idx(images, 3), read_idx(labels, 1)
    if len(x) != len(y):
        counts = f"{len(x)} images but {len(y)} labels in {labels.name}"
        raise InputError(counts, place=images, found=counts, remedy="take both from one source")
    return x, y


def read_idx(path: Path, rank: int) -> "NDArray[np.uint8]":
    """The array of one idx file of bytes: a magic number whose last byte is the rank, big-endian lengths, then the data.

    Args:
        path: the file; gzipped if it is called `.gz`.
        rank: number of axes.

    Raises:
        InputError: it cannot be read, or its magic or length is wrong.
    """
    import numpy as np

    from rbench.datasets.files import reading
    from rbench.datasets.sizes import ALWAYS, file_size, refuse_unpacked

    magic, start = bytes((0, 0, _BYTES, rank)), 4 + 4 * rank
    packed = path.suffix == ".gz"
    with (
        reading(path, "a gzipped idx file" if packed else "an idx file"),
        gzip.open(path) if packed else path.open("rb") as file,
    ):
        head = file.read(start)
        if head[:4] != magic:
            raise InputError(
                f"an idx file of {rank} axes of bytes starts with 0x{magic.hex()}",
                place=path,
                found=f"0x{head[:4].hex() or '-'}",
                remedy="is it of another kind?",
            )
        shape = [int.from_bytes(head[at : at + 4], "big") for at in range(4, start, 4)]
        wanted = math.prod(shape)
        content = file.read(min(wanted, ALWAYS))
        if len(content) == ALWAYS:
            refuse_unpacked(wanted, file_size(path), path, "pixels" if rank > 1 else "labels")
        content += file.read(wanted - len(content)) if len(content) == ALWAYS else b""
        more = len(file.read(2**16))  # a gzip file may hold any number; its checksum is at the end
        size = len(content) + more - (start - len(head))
    if size != wanted:
        problem = f"{max(size, 0)} bytes for the shape {tuple(shape)} of {wanted}"
        raise InputError(problem, place=path, found=f"{max(size, 0)} bytes", remedy="download it again")
    with reading(path, "an idx file"):  # NumPy has limits of its own for axes without data
        return np.frombuffer(content, np.uint8).reshape(shape).copy()


def _file(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    problem = "no such file" if folder.is_dir() else "no such folder"
    remedy = f"give the folder of the idx files. {_ORIGIN}"
    raise InputError(problem, place=f"{folder / name}.gz", remedy=remedy)
