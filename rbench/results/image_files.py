"""The adversarial examples of a cell in their file: written row by row, read whole or in part."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from rbench.errors import InputError
from rbench.results import files
from rbench.results.rows_on_disk import Rows, blocks


def write(path: Path, images: np.ndarray | Rows, ids: np.ndarray) -> None:
    """Write float32 [M, C, H, W] adversarial examples and the int64 [M] ids of their samples."""
    if images.dtype != np.float32 or len(images.shape) != 4 or ids.dtype != np.int64 or ids.shape != images.shape[:1]:
        raise ValueError(f"images {images.dtype}{images.shape} and ids {ids.dtype}{ids.shape} do not fit")
    size = 4 * int(np.prod(images.shape, dtype=np.int64))
    tensors = {
        "samples": {"dtype": "I64", "shape": list(ids.shape), "data_offsets": [0, 8 * len(ids)]},
        "images": {"dtype": "F32", "shape": list(images.shape), "data_offsets": [8 * len(ids), 8 * len(ids) + size]},
    }
    # As safetensors lays a file out; written row by row, since all images together may not fit into memory.
    header = json.dumps(tensors, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    start = len(header).to_bytes(8, "little") + header + np.ascontiguousarray(ids).tobytes()
    rest = (block.tobytes() for block in blocks(images))
    files.write_parts(path, chain([start], rest), len(start) + size)


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The images and the ids that `write` has kept.

    Raises:
        InputError: missing or broken.
    """
    with _opened(path) as stored:
        images, ids = stored.get_tensor("images"), stored.get_tensor("samples")
    if images.dtype != np.float32 or images.ndim != 4 or ids.dtype != np.int64 or ids.shape != images.shape[:1]:
        raise InputError(f"{path}: images {images.dtype}{images.shape} and ids {ids.dtype}{ids.shape} do not fit.")
    return images, ids


def read_ids(path: Path) -> np.ndarray:
    """The ids alone, int64 [M].

    Raises:
        InputError: missing or broken.
    """
    with _opened(path) as stored:
        ids: np.ndarray = stored.get_tensor("samples")
        return ids


def read_some(path: Path, ids: np.ndarray) -> np.ndarray:
    """Some of the images, float32 [B, C, H, W]; the others are not read.

    Args:
        path: of the file.
        ids: int64 [B] samples, all of them stored.

    Raises:
        InputError: missing or broken.
    """
    with _opened(path) as stored:
        known = stored.get_tensor("samples")
        order = np.argsort(known, kind="stable")
        rows = order[np.searchsorted(known[order], ids)]
        first = int(rows.min())
        images: np.ndarray = stored.get_slice("images")[first : int(rows.max()) + 1]
        return images[rows - first]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, open; what is wrong with it is an InputError that names it."""
    try:
        with safe_open(path, "numpy") as stored:
            yield stored
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the adversarial examples are not here.") from None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: no adversarial examples: {error}.") from None
