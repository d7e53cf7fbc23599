import numpy as np
import pytest
from made_pictures import floats, pixels, png
from parts import refused, some

from rbench.datasets.imagenet import CLASSES, files, imagenet
from rbench.datasets.torchvision import torchvision

NAMES = [f"n{10000000 + 7 * number:08d}" for number in range(CLASSES)]


@pytest.fixture(scope="module")
def val(tmp_path_factory):
    """A validation folder of 1,000 classes, most of them empty."""
    root = tmp_path_factory.mktemp("imagenet") / "val"
    for name in NAMES:
        (root / name).mkdir(parents=True)
    for number, label in enumerate((0, 0, 2, 999)):
        (root / NAMES[label] / f"ILSVRC2012_val_{number:08d}.JPEG").write_bytes(png(pixels(1, number, (12, 10, 3))[0]))
    return root


def photo(label, number):
    return f"{NAMES[label]}/ILSVRC2012_val_{number:08d}.JPEG"


def listed(folder, *lines):
    path = folder / "ids.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_labels_are_places_among_the_thousand_classes(val):
    data = imagenet(val, size=None, crop=None)
    assert data.labels.tolist() == [0, 0, 2, 999]
    assert len(data.classes) == len(set(data.classes)) == CLASSES
    assert data.classes[:2] == ("tench", "goldfish")
    assert np.array_equal(data.read(np.array([3])), floats(pixels(1, 3, (12, 10, 3))))
    assert files(val) == [val]
    assert imagenet(val, size=8, crop=6).shape == (3, 6, 6)


def test_a_list_chooses_and_orders_and_only_its_photos_are_hashed(val, tmp_path):
    path = listed(tmp_path, photo(999, 3), photo(0, 1))
    data = imagenet(val, list=path, size=None, crop=None)
    assert data.labels.tolist() == [999, 0]
    assert np.array_equal(data.read(np.array([1])), floats(pixels(1, 1, (12, 10, 3))))
    assert files(val, list=path) == [path, val / photo(999, 3), val / photo(0, 1)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (photo(0, 7), "not in "),
        (photo(0, 1), "a photo twice"),
        ("n00000000/a.JPEG", "no photo of a class"),
        (f"{NAMES[0]}/..", "no photo of a class"),
        (f"../{NAMES[0]}/a.JPEG", "no photo of a class"),
        (f"/{NAMES[0]}/a.JPEG", "no photo of a class"),
        ("a.JPEG", "no photo of a class"),
    ],
)
def test_a_line_that_names_no_photo_of_its_own_is_told(val, tmp_path, line, problem):
    path = listed(tmp_path, photo(0, 1), line)
    with refused(place=f"{path}: line 2", found=repr(line), problem=some(problem)):
        imagenet(val, list=path)


def test_an_empty_list_and_one_that_is_no_text_are_refused(val, tmp_path):
    with refused(place=some("ids.txt"), problem="an empty list"):
        imagenet(val, list=listed(tmp_path, ""))
    (tmp_path / "ids.txt").write_bytes(b"\xff\xfe")
    with refused(place=some("ids.txt"), problem=some("not readable as text")):
        imagenet(val, list=tmp_path / "ids.txt")
    with refused(place=some("gone.txt"), problem="no such file"):
        imagenet(val, list=tmp_path / "gone.txt")


def test_a_folder_of_fewer_classes_would_have_other_labels_and_is_refused(tmp_path):
    for name in NAMES[:10]:
        (tmp_path / "val" / name).mkdir(parents=True)
    with refused(place=str(tmp_path / "val"), found="10 such folders", remedy=some("make an empty folder")):
        imagenet(tmp_path / "val")


def test_torchvisions_layout_of_it_is_read_alike_without_its_pickle(val):
    for split in ("test", "val"):
        data = torchvision("ImageNet", root=val.parent, split=split, size=8, crop=6)
        assert data.labels.tolist() == [0, 0, 2, 999]
        assert data.shape == (3, 6, 6)
    with refused(place=str(val.parent / "train"), remedy=some("torchvision cannot fetch it")):
        torchvision("ImageNet", root=val.parent, split="train", download=True)
