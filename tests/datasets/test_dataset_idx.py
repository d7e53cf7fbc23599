import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from parts import refused, some

from rbench.datasets.idx import files, idx
from rbench.suite.resolve import resolve_part

X = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5) * 4
Y = np.array([7, 0, 2], np.uint8)
IMAGES, LABELS = "/t10k-images-idx3-ubyte.gz", "/t10k-labels-idx1-ubyte.gz"


def encoded(array, magic=None):
    magic = 0x0800 + array.ndim if magic is None else magic
    return struct.pack(f">I{array.ndim}I", magic, *array.shape) + array.tobytes()


def put(folder: Path, images: bytes, labels: bytes, prefix="t10k", zipped=True):
    for kind, content in (("images-idx3", images), ("labels-idx1", labels)):
        path = folder / f"{prefix}-{kind}-ubyte{'.gz' if zipped else ''}"
        path.write_bytes(gzip.compress(content) if zipped else content)
    return folder


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(("split", "prefix"), [("test", "t10k"), ("train", "train")])
def test_bytes_become_grey_floats_in_the_unit_range(tmp_path, split, prefix, zipped):
    put(tmp_path, encoded(X), encoded(Y), prefix, zipped)
    data = idx(tmp_path, split=split)
    assert data.shape == (1, 4, 5)
    images = data.read(np.array([2, 0]))
    assert images.dtype == np.float32
    assert np.array_equal(images[:, 0], X[[2, 0]].astype(np.float32) / np.float32(255))
    assert data.labels.tolist() == [7, 0, 2]
    assert data.classes == ()


def test_the_two_files_of_the_split_are_hashed_into_the_cell_and_no_others(tmp_path):
    put(tmp_path, encoded(X), encoded(Y))
    put(tmp_path, encoded(X[:1]), encoded(Y[:1]), "train")
    named = ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"]
    assert [path.name for path in files(tmp_path)] == named
    part = resolve_part("dataset", "idx", {"path": str(tmp_path)})
    assert list(part.files) == named
    assert part.params == {"path": tmp_path.name, "split": "test"}


def test_the_zipped_file_is_taken_where_both_are_there(tmp_path):
    put(tmp_path, encoded(X), encoded(Y))
    put(tmp_path, encoded(X[:1]), encoded(Y[:1]), zipped=False)
    assert len(idx(tmp_path)) == 3


@pytest.mark.parametrize(
    ("images", "labels", "file", "found", "problem"),
    [
        (encoded(X), encoded(Y[:2]), IMAGES, "3 images but 2 labels in t10k-labels-idx1-ubyte.gz", "2 labels"),
        (encoded(Y), encoded(Y), IMAGES, "0x00000801", "3 axes of bytes starts with 0x00000803"),
        (encoded(X), encoded(X), LABELS, "0x00000803", "1 axes of bytes starts with 0x00000801"),
        (encoded(X, 0x0D03), encoded(Y), IMAGES, "0x00000d03", "0x00000803"),
        (b"", encoded(Y), IMAGES, "0x-", "0x00000803"),
        (encoded(X)[:3], encoded(Y), IMAGES, "0x000008", "0x00000803"),
        (encoded(X)[:9], encoded(Y), IMAGES, "0 bytes", "for the shape"),
        (encoded(X)[:-1], encoded(Y), IMAGES, "59 bytes", "for the shape (3, 4, 5) of 60"),
        (encoded(X) + b"\0", encoded(Y), IMAGES, "61 bytes", "for the shape (3, 4, 5) of 60"),
        (encoded(X[:0]), encoded(Y[:0]), ": labels", None, "no samples"),
        (struct.pack(">4I", 0x803, *[2**32 - 1] * 3), encoded(Y), IMAGES, "0 bytes", "for the shape"),
        (struct.pack(">4I", 0x803, 0, *[2**32 - 1] * 2), encoded(Y[:0]), IMAGES, None, "not readable as an idx file"),
    ],
    ids=[
        "counts",
        "rank 1",
        "rank 3",
        "floats",
        "empty",
        "cut magic",
        "cut shape",
        "cut data",
        "more data",
        "none",
        "huge",
        "huge 0",
    ],
)
def test_broken_files_are_refused_by_name(tmp_path, images, labels, file, found, problem):
    put(tmp_path, images, labels)
    with refused(place=f"{tmp_path}{file}", found=found, problem=some(problem), remedy=some("")):
        idx(tmp_path)


def test_a_gzip_stream_cut_anywhere_or_none_at_all_is_refused(tmp_path):
    put(tmp_path, encoded(X), encoded(Y))
    path = files(tmp_path)[0]
    content = path.read_bytes()
    for broken in (b"plain text", *(content[:end] for end in range(1, len(content), 7))):
        path.write_bytes(broken)
        with refused(place=str(path), problem=some("not readable as a gzipped idx file")):
            idx(tmp_path)


def test_a_missing_file_or_folder_says_where_the_data_comes_from(tmp_path):
    for folder, problem in ((tmp_path, "no such file"), (tmp_path / "gone", "no such folder")):
        place, remedy = str(folder / "train-images-idx3-ubyte.gz"), some("apt-get install dataset-fashion-mnist")
        with refused(place=place, problem=problem, remedy=remedy):
            files(folder, split="train")
