import numpy as np
import pytest
from parts import refused, some

from rbench.datasets.types import Dataset, check_labels


def dataset(images, labels=None, classes=()):
    labels = np.zeros(len(images), np.int64) if labels is None else labels
    return Dataset(labels, lambda ids: images[ids], classes, {"source": "mine.npz"})


def grey(n=4, value=0.5):
    return np.full((n, 1, 2, 3), value, np.float32)


def test_a_dataset_knows_its_length_and_shape_and_reads_by_id():
    images = grey() * np.arange(4, dtype=np.float32)[:, None, None, None] / 2
    data = dataset(images, np.array([0, 1, 0, 1], np.uint8), ("a", "b"))
    assert len(data) == 4
    assert data.shape == (1, 2, 3)
    assert data.labels.dtype == np.int64
    assert (data.read(np.array([3, 1])) == images[[3, 1]]).all()


@pytest.mark.parametrize(
    ("labels", "where", "found", "remedy"),
    [
        ([0, -1], ": sample 1", "label -1", "class numbers go from 0 up"),
        ([0.0, 1.0], "", "float64 values (the first is 0.0)", "store integers from 0 up"),
        (["cat", "dog"], "", "<U3 values (the first is 'cat')", "store integers from 0 up"),
        ([True, False], "", "bool values (the first is True)", "store integers from 0 up"),
        (np.array([0, "a"], object), "", "object values (the first is 0)", "store integers from 0 up"),
        ([[0, 1], [1, 0]], "", "shape (2, 2)", some("argmax(1)")),
        ([], "", None, some("at least one image")),
        (np.array([], np.int64), "", None, some("at least one image")),
        (np.array([0, 2**63], np.uint64), ": sample 1", f"label {2**63}", "class numbers go from 0 up"),
    ],
)
def test_labels_that_are_no_class_numbers_are_refused_with_the_first_offender(labels, where, found, remedy):
    with refused(place=f"mine.npz: labels{where}", found=found, remedy=remedy):
        check_labels(labels, "mine.npz")


def test_labels_beyond_the_class_names_are_refused():
    with refused(place="mine.npz: labels: sample 2", found="label 2", remedy="labels go from 0 to 1"):
        dataset(grey(), np.array([0, 1, 2, 1]), ("a", "b"))


def test_labels_beyond_the_logits_of_a_model_are_refused():
    data = dataset(grey(), np.array([0, 9, 2, 1]))
    data.require_classes(10)
    with refused(place="mine.npz: labels: sample 1", found="label 9", problem=some("9 classes")):
        data.require_classes(9)


@pytest.mark.parametrize(
    ("value", "found", "remedy"),
    [
        (255.0, "values from 0.5 to 255", "divide by 255"),
        (-1.0, "values from -1 to 0.5", "undo the normalisation"),
        (1.5, "values from 0.5 to 1.5", "scale or clip"),
        (np.nan, None, "repair or leave out the sample"),
        (np.inf, None, "repair or leave out the sample"),
    ],
)
def test_pixels_outside_the_unit_range_are_refused_with_sample_values_and_cure(value, found, remedy):
    images = grey()
    images[2, 0, 1, 1] = value
    with refused(place="mine.npz: images: sample 2", found=found, remedy=some(remedy)):
        dataset(images).read(np.arange(4))


@pytest.mark.parametrize(
    "images",
    [np.zeros((4, 2, 3), np.float32), np.zeros((4, 1, 2, 3)), np.zeros((4, 1, 2, 3), np.uint8), np.zeros((4, 1, 0, 3))],
)
def test_a_reader_that_returns_something_else_is_refused(images):
    found = f"{images.dtype} {(2, *images.shape[1:])}"
    with refused(place="mine.npz: images", found=found, problem=some("float32 array [B, C, H, W]")):
        dataset(images).read(np.arange(2))


def test_a_reader_that_returns_too_few_images_is_refused():
    data = Dataset(np.zeros(4, np.int64), lambda ids: grey(1), (), {"source": "mine"})
    with refused(place="mine: images", found="shape (1, 1, 2, 3)", problem=some("for 2 samples")):
        data.read(np.arange(2))


def test_images_of_two_shapes_are_refused_even_in_batches_of_one():
    def read(ids):
        return np.zeros((len(ids), 1, 2 + int(ids[0]), 3), np.float32)

    data = Dataset(np.zeros(4, np.int64), read, (), {"source": "mine"})
    data.read(np.array([0]))
    found, remedy = "shape (1, 3, 3)", some("size and crop")
    with refused(place="mine: images: sample 1", found=found, problem=some("(1, 2, 3)"), remedy=remedy):
        data.read(np.array([1]))
