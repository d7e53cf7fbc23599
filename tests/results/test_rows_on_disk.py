"""Rows that are read when they are asked for are those of the arrays."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rbench.results.hashes import array_hash
from rbench.results.rows_on_disk import Rows, StoredRows, blocks
from rbench.results.store import RunFolder


@pytest.fixture
def parts(tmp_path):
    """An array in memory and one in a file, and both as one array."""
    whole = np.random.default_rng(0).random((150, 2, 3, 4), dtype=np.float32)
    (tmp_path / "rows.bin").write_bytes(b"before" + whole[50:].tobytes() + b"after")
    return [whole[:50], StoredRows(tmp_path / "rows.bin", 6, whole.dtype, (100, 2, 3, 4))], whole


@pytest.mark.parametrize(
    "rows",
    [
        slice(0, 3),
        slice(45, 60),
        slice(None),
        slice(149, 400),
        slice(7, 7),
        np.array([3, 149, 49, 50, 3]),
        np.array([], int),
    ],
)
def test_rows_of_arrays_in_memory_and_in_files_are_those_of_one_array(parts, rows):
    several, whole = parts
    found = Rows.of(several)
    assert (found.shape, found.dtype, len(found)) == (whole.shape, whole.dtype, 150)
    assert np.array_equal(found[rows], whole[rows])


def test_in_another_order_and_as_an_array(parts):
    several, whole = parts
    order = np.random.default_rng(1).permutation(150)[:90]
    found = Rows.of(several).at(order)
    assert np.array_equal(np.asarray(found), whole[order])
    assert np.array_equal(found.at(np.array([5, 2]))[:], whole[order[[5, 2]]])
    assert np.array_equal(np.concatenate(list(blocks(found))), whole[order])


def test_hashes_are_those_of_the_array(parts):
    several, whole = parts
    assert array_hash({"a": Rows.of(several)}, ["a"]) == array_hash({"a": whole}, ["a"])
    assert array_hash({"a": whole[:0]}, ["a"]) != array_hash({"a": whole[:1]}, ["a"])


def test_images_of_chunks_are_read_from_their_files_and_written_as_safetensors_would(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    images = np.random.default_rng(0).random((6, 1, 4, 4), dtype=np.float32)
    for start, stop in ((0, 2), (2, 6)):
        arrays = {"images": images[start:stop], "sample": np.arange(start, stop)}
        folder.write_chunk("abc", start, stop, arrays, {"seconds": 1.0})
    chunks, notes = folder.read_chunks("abc")
    assert notes == []
    assert all(isinstance(chunk.arrays["images"], StoredRows) for chunk in chunks)
    ids = np.array([5, 0, 3])
    folder.write_images("abc", Rows.of([chunk.arrays["images"] for chunk in chunks]).at(ids), ids)
    path = folder.images_path("abc")
    found = load_file(path)
    assert np.array_equal(found["images"], images[ids])
    assert np.array_equal(found["samples"], ids)
    save_file(found, tmp_path / "other.safetensors")
    assert path.read_bytes() == (tmp_path / "other.safetensors").read_bytes()
