"""A chunk on disk: some samples of a cell, finished before the cell is, with a checksum."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from rbench.results.rows_on_disk import StoredRows
from rbench.results.sample_columns import IMAGES

_KEY = "rbench"


@dataclass(frozen=True)
class Chunk:
    """Samples `start` up to, not including, `stop` of a cell.

    Attributes:
        start: position of the first sample in the cell's slice.
        stop: position after the last one.
        arrays: what was measured, by name; images may still lie in a file.
        meta: JSON values that belong to it.
    """

    start: int
    stop: int
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]


def encode(cell_id: str, chunk: Chunk) -> bytes:
    """The chunk as safetensors, its meta and checksum in the header."""
    # In C order, because safetensors writes the memory as it lies.
    arrays = {name: np.asarray(array, order="C") for name, array in chunk.arrays.items()}
    content = {"cell": cell_id, "start": chunk.start, "stop": chunk.stop, "meta": chunk.meta}
    content["sha256"] = _checksum(arrays, content)
    # One key, because safetensors does not keep the order of several: equal chunks are equal bytes.
    return save(arrays, metadata={_KEY: json.dumps(content, sort_keys=True, allow_nan=False)})


def decode(cell_id: str, data: bytes) -> Chunk:
    """The chunk in `data`.

    Raises:
        ValueError: torn, altered, or of another cell.
    """
    try:
        arrays = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        content = json.loads(header["__metadata__"][_KEY])
        checksum = content.pop("sha256")
        chunk = Chunk(int(content["start"]), int(content["stop"]), arrays, dict(content["meta"]))
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
        raise ValueError(f"unreadable ({type(error).__name__})") from None
    if checksum != _checksum(arrays, content):
        raise ValueError("its checksum does not fit")
    if content["cell"] != cell_id:
        raise ValueError(f"it belongs to cell {content['cell']!r}")
    return chunk


def with_images_on_disk(chunk: Chunk, path: Path, data: bytes) -> Chunk:
    """The same chunk with its images still to be read.

    Args:
        chunk: decoded from these bytes.
        path: the file that they were read from.
        data: the file.
    """
    if IMAGES not in chunk.arrays:
        return chunk
    length = int.from_bytes(data[:8], "little")
    first, _ = json.loads(data[8 : 8 + length])[IMAGES]["data_offsets"]
    images = chunk.arrays[IMAGES]
    stored: Any = StoredRows(path, 8 + length + first, images.dtype, images.shape)
    return replace(chunk, arrays={**chunk.arrays, IMAGES: stored})


def _checksum(arrays: Mapping[str, np.ndarray], content: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, str(array.dtype), array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
