import numpy as np
import pytest

from rbench.datasets.types import Dataset, check_labels
from rbench.errors import InputError


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
    ("labels", "message"),
    [
        ([0, -1], "labels: sample 1 has label -1"),
        ([0.0, 1.0], "labels: float64 values (the first is 0.0) are no class numbers"),
        (["cat", "dog"], "(the first is 'cat') are no class numbers"),
        ([True, False], "labels: bool values"),
        (np.array([0, "a"], object), "labels: object values"),
        ([[0, 1], [1, 0]], "labels: shape (2, 2), expected one class number per image"),
        ([], "labels: no samples"),
        (np.array([], np.int64), "labels: no samples"),
        (np.array([0, 2**63], np.uint64), f"labels: sample 1 has label {2**63}"),
    ],
)
def test_labels_that_are_no_class_numbers_are_refused_with_the_first_offender(labels, message):
    with pytest.raises(InputError) as error:
        check_labels(labels, "mine.npz")
    assert message in str(error.value)
    assert str(error.value).startswith("mine.npz: ")
    assert "\n" not in str(error.value)


def test_labels_beyond_the_class_names_are_refused():
    with pytest.raises(InputError, match=r"sample 2 has label 2, but there are 2 classes; labels go from 0 to 1"):
        dataset(grey(), np.array([0, 1, 2, 1]), ("a", "b"))


def test_labels_beyond_the_logits_of_a_model_are_refused():
    data = dataset(grey(), np.array([0, 9, 2, 1]))
    data.require_classes(10)
    with pytest.raises(InputError, match="sample 1 has label 9, but there are 9 classes"):
        data.require_classes(9)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (255.0, r"values from 0\.5 to 255; .*divide by 255"),
        (-1.0, r"values from -1 to 0\.5; .*undo the normalisation"),
        (1.5, r"values from 0\.5 to 1\.5; .*scale or clip"),
        (np.nan, "NaN or infinite"),
        (np.inf, "NaN or infinite"),
    ],
)
def test_pixels_outside_the_unit_range_are_refused_with_sample_values_and_cure(value, message):
    images = grey()
    images[2, 0, 1, 1] = value
    with pytest.raises(InputError, match=r"mine\.npz: images: sample 2 has .*" + message):
        dataset(images).read(np.arange(4))


@pytest.mark.parametrize(
    "images",
    [np.zeros((4, 2, 3), np.float32), np.zeros((4, 1, 2, 3)), np.zeros((4, 1, 2, 3), np.uint8), np.zeros((4, 1, 0, 3))],
)
def test_a_reader_that_returns_something_else_is_refused(images):
    with pytest.raises(InputError, match=r"images: expected a float32 array \[B, C, H, W\]"):
        dataset(images).read(np.arange(2))


def test_a_reader_that_returns_too_few_images_is_refused():
    data = Dataset(np.zeros(4, np.int64), lambda ids: grey(1), (), {"source": "mine"})
    with pytest.raises(InputError, match="for 2 samples"):
        data.read(np.arange(2))


def test_images_of_two_shapes_are_refused_even_in_batches_of_one():
    def read(ids):
        return np.zeros((len(ids), 1, 2 + int(ids[0]), 3), np.float32)

    data = Dataset(np.zeros(4, np.int64), read, (), {"source": "mine"})
    data.read(np.array([0]))
    with pytest.raises(InputError, match=r"sample 1 has shape \(1, 3, 3\), the first sample \(1, 2, 3\)"):
        data.read(np.array([1]))
