"""Where the recipes have Fashion-MNIST from, and what its files must be."""

import hashlib
from pathlib import Path

from rbench.datasets.idx import Split, files


def download_fashion_mnist(root: Path) -> Path:
    """The folder of the gzipped idx files, as torchvision fetches and checks them."""
    from torchvision.datasets import FashionMNIST

    FashionMNIST(str(root), download=True)
    return root / "FashionMNIST" / "raw"


def sha256_of(folder: Path, *splits: Split) -> dict[str, str]:
    """sha256 of the files of some splits, by name."""
    paths = [path for split in splits for path in files(folder, split=split)]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
