"""What a result's hashes are made of."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rbench.results.rows_on_disk import blocks


def array_hash(arrays: Mapping[str, np.ndarray], names: Sequence[str]) -> str:
    """sha256 over some arrays with their names, types and shapes."""
    digest = hashlib.sha256()
    for name in names:
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        for block in blocks(array):
            digest.update(block.tobytes())
    return digest.hexdigest()


def file_hash(path: Path) -> str | None:
    """sha256 of a file's bytes; None if there is no such file."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
