"""The bundled dataset: a thousand test images of Fashion-MNIST. NumPy is imported only to load it, since plans need the files alone."""

from pathlib import Path
from typing import TYPE_CHECKING

from rbench.bundled_files import ASSETS

if TYPE_CHECKING:
    from rbench.datasets.types import Dataset

_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def files() -> list[Path]:
    """The files whose bytes decide the outcome."""
    return [ASSETS / "fashion-mnist-mini.npz"]


def fashion_mnist_mini() -> "Dataset":
    """1,000 test images of Fashion-MNIST, 28x28 grey: the first 100 of each class, in test order.

    Xiao, Rasul, Vollgraf 2017, arXiv 1708.07747, MIT licence; made by recipes/fashion_mnist_mini.py.
    """
    import numpy as np

    from rbench.datasets.npz import from_arrays

    with np.load(files()[0], allow_pickle=False) as archive:
        x, y = archive["images"][:, None], archive["labels"].astype(np.int64)
    return from_arrays(x, y, provenance={"source": "fashion-mnist-mini", "licence": "MIT"}, classes=_CLASSES)
