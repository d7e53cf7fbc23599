import numpy as np
import pytest
from parts import refused, some

import rbench
from rbench.datasets.subset import of_classes
from rbench.datasets.types import Dataset
from rbench.running.components import order
from rbench.suite.cell import Slice

LABELS = [2, 0, 1, 1, 3, 2, 0]


def whole(names=("a", "b", "c", "d"), shapes=None):
    images = np.linspace(0, 1, len(LABELS), dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 2, 2), np.float32)
    return Dataset(LABELS, lambda ids: images[ids], names, {"source": "mine.npz"})


def test_labels_are_renumbered_in_the_order_given_and_ids_stay():
    data, part = whole(), of_classes(whole(), [2, 1])
    assert len(part) == 4
    assert part.ids.tolist() == [0, 2, 3, 5]
    assert part.labels[part.ids].tolist() == [0, 1, 1, 0]
    assert part.classes == ("c", "b")
    assert part.provenance == {"source": "mine.npz", "classes": "2, 1"}
    assert np.array_equal(part.read(np.array([5, 2])), data.read(np.array([5, 2])))
    assert part.shape == data.shape


def test_a_subset_without_class_names_has_none():
    assert of_classes(whole(()), [3, 0]).classes == ()


def test_a_subset_of_a_subset_counts_from_the_renumbered_classes():
    part = of_classes(of_classes(whole(), [3, 2, 1]), [1, 0])
    assert part.ids.tolist() == [0, 4, 5]
    assert part.labels[part.ids].tolist() == [0, 1, 0]


def test_samples_of_other_classes_cannot_be_read():
    with refused(place="mine.npz", problem=some("sample 1 is of none of the chosen classes [2, 1]")):
        of_classes(whole(), [2, 1]).read(np.array([0, 1]))


@pytest.mark.parametrize(
    ("classes", "found", "problem", "remedy"),
    [
        ([], "the list []", "at least 2 classes", "Leave it out for all."),
        ([1], "the list [1]", "at least 2 classes", "Leave it out for all."),
        ([0, 2, 0], "class 0", "twice", "Name each once."),
        ([1, 4], None, "mine.npz has label 4", "its labels go from 0 to 3"),
        ([-1, 0], None, "mine.npz has label -1", "its labels go from 0 to 3"),
    ],
)
def test_wrong_classes_are_refused(classes, found, problem, remedy):
    with refused(place="dataset.classes", found=found, problem=some(problem), remedy=remedy):
        of_classes(whole(), classes)


@pytest.mark.parametrize("shuffle", [False, 0, 7])
def test_a_slice_holds_samples_of_the_chosen_classes_alone(shuffle):
    part = of_classes(whole(), [2, 1])
    found = order(part, Slice(3, shuffle)).tolist()
    assert found == sorted(set(found))
    assert set(found) <= {0, 2, 3, 5}
    assert order(part, Slice(None, shuffle)).tolist() == [0, 2, 3, 5]
    assert order(part, Slice(2, False)).tolist() == [0, 2]
    with refused(place="dataset.samples", found="5", problem=some("the data set has 4")):
        order(part, Slice(5, shuffle))


def test_the_whole_is_sliced_as_ever():
    assert order(whole(), Slice(4, 3)).tolist() == sorted(np.random.default_rng(3).permutation(7)[:4].tolist())


def test_a_backbone_must_have_one_logit_per_chosen_class():
    part = of_classes(whole(), [2, 1])
    part.require_classes(2)
    with refused(place="mine.npz", problem=some("the backbone has 10 logits"), remedy=some("a head")):
        part.require_classes(10)
    whole().require_classes(4)


def test_any_data_set_is_loaded_with_some_of_its_classes():
    part = rbench.load("dataset", "fashion-mnist-mini", classes=[9, 7])
    assert len(part) == 200
    assert part.classes == ("Ankle boot", "Sneaker")
    data = rbench.load("dataset", "fashion-mnist-mini")
    assert (data.labels[part.ids] == np.where(part.labels[part.ids] == 0, 9, 7)).all()
    assert len(rbench.load("dataset", "fashion-mnist-mini", {"classes": None})) == 1000
