"""The idx files that the MNIST family comes in."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NAMES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def download_fashion_mnist(root: Path) -> Path:
    """The folder of the gzipped idx files, as torchvision fetches and checks them."""
    from torchvision.datasets import FashionMNIST

    FashionMNIST(str(root), download=True)
    return root / "FashionMNIST" / "raw"


def read_idx(path: Path) -> NDArray[np.uint8]:
    """One gzipped idx file of bytes: a magic whose 4th byte is the rank, big-endian sizes, then the data."""
    content = gzip.decompress(path.read_bytes())
    rank = content[3]
    shape = np.frombuffer(content, ">u4", rank, 4).astype(int)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape).copy()


def read_split(folder: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images [N, 28, 28] and labels [N] of `train` or `test`."""
    images, labels = NAMES[split]
    return read_idx(folder / images), read_idx(folder / labels)


def sha256_of(folder: Path, *splits: str) -> dict[str, str]:
    """sha256 of the files of some splits, by name."""
    names = [name for split in splits for name in NAMES[split]]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
