import io
import zipfile

import numpy as np
import pytest
from parts import refused, some

from rbench.datasets.npz import npz
from rbench.errors import InputError

LABELS = np.array([0, 1, 2])


@pytest.fixture
def save(tmp_path):
    def write(**arrays):
        path = tmp_path / "mine.npz"
        np.savez_compressed(path, **arrays)
        return path

    return write


def colour(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (3, 3, 5, 6), dtype=np.uint8)


def test_bytes_become_floats_in_the_unit_range(save):
    x = colour()
    data = npz(save(x=x, y=LABELS))
    assert data.shape == (3, 5, 6)
    assert data.read(np.arange(3)).dtype == np.float32
    assert np.array_equal(data.read(np.array([2, 0])), x[[2, 0]].astype(np.float32) / np.float32(255))
    assert data.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_in_the_unit_range_are_taken_as_float32(save, dtype):
    x = (colour() / 255).astype(dtype)
    data = npz(save(images=x, labels=LABELS))
    assert np.array_equal(data.read(np.arange(3)), x.astype(np.float32))
    assert data.provenance["images"] == f"{x.dtype} to float32"


def test_channels_may_come_last_or_not_at_all(save):
    x = colour()
    first = npz(save(x=x, y=LABELS)).read(np.arange(3))
    last = npz(save(x=x.transpose(0, 2, 3, 1), y=LABELS)).read(np.arange(3))
    assert np.array_equal(first, last)
    assert npz(save(x=x[:, 0], y=LABELS)).shape == (1, 5, 6)


def test_an_ambiguous_channel_axis_is_asked_for_and_may_be_told(save):
    path = save(x=np.full((3, 3, 8, 3), 9, np.uint8), y=LABELS)
    with refused(place=f"{path}: images", found="shape (3, 3, 8, 3)", remedy="give layout: NCHW or NHWC"):
        npz(path)
    assert npz(path, layout="NCHW").shape == (3, 8, 3)
    assert npz(path, layout="NHWC").shape == (3, 3, 8)
    with refused(found="shape (3, 5, 8, 4)", remedy="give layout: NCHW or NHWC"):
        npz(save(x=np.full((3, 5, 8, 4), 9, np.uint8), y=LABELS))


def test_arrays_of_other_names_are_found_by_parameter(save):
    path = save(pictures=colour(), classes=LABELS)
    with refused(place=str(path), found="pictures, classes", remedy="name it with images: NAME"):
        npz(path)
    assert len(npz(path, images="pictures", labels="classes")) == 3
    with refused(problem=some("'missing'"), remedy="name it with labels: NAME"):
        npz(path, images="pictures", labels="missing")


@pytest.mark.parametrize(
    ("x", "where", "found", "remedy"),
    [
        (np.full((3, 1, 2, 2), 200.0), ": images: sample 0", "values from 200 to 200", some("divide by 255")),
        (np.full((3, 1, 2, 2), -0.5), ": images: sample 0", "values from -0.5 to -0.5", some("undo the normalisation")),
        (np.full((3, 1, 2, 2), np.nan), ": images: sample 0", None, some("leave out the sample")),
        (np.full((3, 1, 2, 2), 7), ": images", "int64 values from 7 to 7", some("store uint8")),
        (np.ones((3, 1, 2, 2), np.uint8), ": images", "uint8 with largest value 1", some("0 to 255")),
        (np.full((3, 1, 2, 2), "a"), ": images", "<U1 values from ? to ?", some("store uint8")),
        (np.full((3, 4), 0.5), ": images", "shape (3, 4)", None),
        (np.full((3, 1, 0, 2), 0.5), ": images", "shape (3, 1, 0, 2)", None),
        (np.full((2, 1, 2, 2), 0.5), "", "2 images but 3 labels", "they must pair up"),
    ],
)
def test_wrong_arrays_are_refused_with_file_array_and_cure(save, x, where, found, remedy):
    path = save(x=x, y=LABELS)
    with refused(place=f"{path}{where}", found=found, remedy=remedy):
        npz(path)


def test_the_first_offending_sample_is_named(save):
    x = np.full((3, 1, 2, 2), 0.5)
    x[1, 0, 0, 0] = 3
    path = save(x=x, y=LABELS)
    with refused(place=f"{path}: images: sample 1", found="values from 0.5 to 3"):
        npz(path)


def test_empty_arrays_are_no_dataset(save):
    with refused(problem="no samples", remedy=some("at least one image")):
        npz(save(x=np.zeros((0, 1, 2, 2)), y=np.zeros(0, int)))


def test_pickled_objects_are_refused_and_never_executed(tmp_path):
    marker = tmp_path / "executed"

    class Bomb:
        def __reduce__(self):
            return (marker.write_text, ("boom",))

    path = tmp_path / "evil.npz"
    np.savez(path, x=np.array([Bomb()], object), y=LABELS)
    with refused(place=str(path), problem=some("not readable as an .npz file of plain arrays")):
        npz(path)
    assert not marker.exists()


def test_what_is_no_archive_of_arrays_is_refused(tmp_path):
    missing = tmp_path / "missing.npz"
    with refused(problem="no such file", place=str(missing), remedy="give the .npz file"):
        npz(missing)
    with refused(problem="a folder", place=str(tmp_path), remedy="give the .npz file"):
        npz(tmp_path)
    single = tmp_path / "single.npy"
    np.save(single, LABELS)
    with refused(place=str(single), remedy=some("np.savez")):
        npz(single)
    other = tmp_path / "other.npz"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("x", b"text")
        archive.writestr("y", b"text")
    with refused(place=f"{other}: labels", found=some("values")):
        npz(other)


def test_a_file_cut_or_flipped_anywhere_is_refused_or_read_whole(tmp_path):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=colour(), y=LABELS)
    content, path = buffer.getvalue(), tmp_path / "broken.npz"
    random = np.random.default_rng(0)
    cuts = [content[:end] for end in range(0, len(content), 7)]
    flips = []
    for position in random.integers(0, len(content), 150):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(random.integers(8))
        flips.append(bytes(flipped))
    messages = []
    for broken in cuts + flips:
        path.write_bytes(broken)
        try:
            npz(path)
        except InputError as error:
            messages.append(str(error))
    assert len(messages) >= len(cuts)
    assert not any("\n" in message for message in messages)
