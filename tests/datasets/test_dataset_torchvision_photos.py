"""The photos and arrays of torchvision's other data sets, each in a small folder of its layout."""

import hashlib
import json
import struct
from typing import get_args

import numpy as np
import pytest
import scipy.io
from made_pictures import encoded, floats, pixels, png
from parts import refused, some
from PIL import Image
from torchvision import datasets

from rbench.datasets.torchvision import Name, Split, files, torchvision
from rbench.datasets.torchvision_sets import KEPT
from rbench.errors import MissingError

SIZE = (8, 7, 3)


def photo(path, number, form="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(Image.fromarray(pixels(1, number, SIZE)[0]), form))


def text(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def class_folders(root, ending=".jpg", names=("a", "b")):
    for label, name in enumerate(names):
        for number in range(2):
            photo(root / name / f"{number}{ending}", 2 * label + number)


def food101(root, patch):
    text(root / "food-101" / "meta" / "test.json", json.dumps({"pie": ["pie/1", "pie/0"], "egg": ["egg/0"]}))
    for number, name in enumerate(("pie/1", "pie/0", "egg/0")):
        photo(root / "food-101" / "images" / f"{name}.jpg", number)
    return [1, 1, 0], ("egg", "pie")


def flowers102(root, patch):
    folder = root / "flowers-102"
    for number in range(3):
        photo(folder / "jpg" / f"image_{number + 1:05d}.jpg", number)
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": np.array([[102, 1, 7]])})
    scipy.io.savemat(folder / "setid.mat", {"tstid": np.array([[1, 2, 3]]), "trnid": [[1]], "valid": [[1]]})
    sums = {one: (name, md5(folder / name)) for one, name in (("label", "imagelabels.mat"), ("setid", "setid.mat"))}
    patch(datasets.Flowers102, "_file_dict", sums)
    return [101, 0, 6], tuple(datasets.Flowers102.classes)


def oxford_pet(root, patch):
    folder = root / "oxford-iiit-pet"
    text(folder / "annotations" / "test.txt", "Bengal_1 1 1 1", "pug_dog_7 2 2 1")
    photo(folder / "images" / "Bengal_1.jpg", 0)
    photo(folder / "images" / "pug_dog_7.jpg", 1)
    return [0, 1], ("Bengal", "Pug Dog")


def eurosat(root, patch):
    class_folders(root / "eurosat" / "2750")
    return [0, 0, 1, 1], ("a", "b")


def gtsrb(root, patch):
    text(root / "gtsrb" / "GT-final_test.csv", "Filename;ClassId", "1.ppm;42", "0.ppm;7")
    photo(root / "gtsrb" / "GTSRB" / "Final_Test" / "Images" / "1.ppm", 0, "PPM")
    photo(root / "gtsrb" / "GTSRB" / "Final_Test" / "Images" / "0.ppm", 1, "PPM")
    return [42, 7], tuple(map(str, range(43)))


def dtd(root, patch):
    text(root / "dtd" / "dtd" / "labels" / "test1.txt", "dotted/b.jpg", "banded/a.jpg")
    photo(root / "dtd" / "dtd" / "images" / "dotted" / "b.jpg", 0)
    photo(root / "dtd" / "dtd" / "images" / "banded" / "a.jpg", 1)
    return [1, 0], ("banded", "dotted")


def caltech101(root, patch):
    folder = root / "caltech101" / "101_ObjectCategories"
    (folder / "BACKGROUND_Google").mkdir(parents=True)
    for number, name in enumerate(("ant/image_0001.jpg", "ant/image_0002.jpg", "bee/image_0001.jpg")):
        photo(folder / name, number)
    return [0, 0, 1], ("ant", "bee")


def caltech256(root, patch):
    folder = root / "caltech256" / "256_ObjectCategories"
    for number, name in enumerate(("001.ak47/001_0001.jpg", "002.flag/002_0001.jpg")):
        photo(folder / name, number)
    return [0, 1], ("001.ak47", "002.flag")


def country211(root, patch):
    class_folders(root / "country211" / "test", names=("AD", "AE"))
    return [0, 0, 1, 1], ("AD", "AE")


def aircraft(root, patch):
    folder = root / "fgvc-aircraft-2013b" / "data"
    text(folder / "variants.txt", "707-320", "A320")
    text(folder / "images_variant_test.txt", "01 A320", "02 707-320")
    photo(folder / "images" / "01.jpg", 0)
    photo(folder / "images" / "02.jpg", 1)
    return [1, 0], ("707-320", "A320")


def sun397(root, patch):
    text(root / "SUN397" / "ClassName.txt", "/a/abbey", "/b/bar/inside")
    photo(root / "SUN397" / "b" / "bar" / "inside" / "sun_c.jpg", 2)
    photo(root / "SUN397" / "a" / "abbey" / "sun_b.jpg", 1)
    photo(root / "SUN397" / "a" / "abbey" / "sun_a.jpg", 0)
    return [0, 0, 1], ("abbey", "bar/inside")


def sst2(root, patch):
    class_folders(root / "rendered-sst2" / "test", ".png", ("negative", "positive"))
    return [0, 0, 1, 1], ("negative", "positive")


def places365(root, patch):
    categories = text(root / "categories_places365.txt", "/a/airfield 0", "/b/beach 1")
    listed = text(root / "places365_val.txt", "1.jpg 1", "0.jpg 0")
    patch(datasets.Places365, "_CATEGORIES_META", (categories.name, md5(categories)))
    patch(datasets.Places365, "_FILE_LIST_META", {"val": (listed.name, md5(listed))})
    photo(root / "val_256" / "1.jpg", 0)
    photo(root / "val_256" / "0.jpg", 1)
    return [1, 0], ("/a/airfield", "/b/beach")


PHOTOS = {
    "Food101": food101,
    "Flowers102": flowers102,
    "OxfordIIITPet": oxford_pet,
    "EuroSAT": eurosat,
    "GTSRB": gtsrb,
    "DTD": dtd,
    "Caltech101": caltech101,
    "Caltech256": caltech256,
    "Country211": country211,
    "FGVCAircraft": aircraft,
    "SUN397": sun397,
    "RenderedSST2": sst2,
    "Places365": places365,
}


@pytest.fixture
def laid_out(tmp_path, monkeypatch):
    """Lays a data set out and says how it is to be read, with its labels and class names."""

    def lay(name):
        labels, names = PHOTOS[name](tmp_path, monkeypatch.setattr)
        split = "test" if "test" in KEPT[name].parts else "all"
        return {"root": tmp_path, "split": split}, labels, names

    return lay


@pytest.mark.parametrize("name", PHOTOS)
def test_photos_are_read_with_their_labels_in_an_order_of_their_own(laid_out, name):
    where, labels, names = laid_out(name)
    data = torchvision(name, **where)
    assert data.labels.tolist() == labels
    assert data.classes == names
    expected = np.concatenate([floats(pixels(1, number, SIZE)) for number in range(len(labels))])
    assert np.array_equal(data.read(data.ids), expected)
    assert all(path.exists() for path in files(name, **where))


@pytest.mark.parametrize("name", PHOTOS)
def test_photos_are_looked_at_before_they_are_decoded(laid_out, name, monkeypatch):
    where, _, _ = laid_out(name)
    opened = []
    monkeypatch.setattr(Image, "open", lambda *given, **more: opened.append(more) or pytest.fail("decoded"))
    data = torchvision(name, **where)
    monkeypatch.undo()
    bomb = encoded(Image.new("L", (13000, 13000)))
    root = where["root"]
    for path in (*root.rglob("*.jpg"), *root.rglob("*.ppm"), *root.rglob("*.png")):
        path.write_bytes(bomb)
    with refused(found=some("13000x13000 pixels")):
        data.read(np.array([0]))
    assert opened == []


def test_stl10_and_emnist_are_read_as_arrays(tmp_path, monkeypatch):
    folder, images = tmp_path / "stl10_binary", pixels(3, 0, (3, 96, 96))
    folder.mkdir()
    (folder / "test_X.bin").write_bytes(images.tobytes())
    (folder / "test_y.bin").write_bytes(bytes([10, 1, 3]))
    text(folder / "class_names.txt", *map(str, range(10)))
    monkeypatch.setattr(datasets.STL10, "train_list", [])
    monkeypatch.setattr(
        datasets.STL10, "test_list", [[name, md5(folder / name)] for name in ("test_X.bin", "test_y.bin")]
    )
    data = torchvision("STL10", root=tmp_path)
    assert data.labels.tolist() == [9, 0, 2]
    assert np.array_equal(data.read(data.ids), images.transpose(0, 1, 3, 2) / np.float32(255))

    raw, grey = tmp_path / "EMNIST" / "raw", pixels(2, 1, (28, 28))
    raw.mkdir(parents=True)
    head = struct.pack(">HBB3I", 0, 8, 3, 2, 28, 28)
    (raw / "emnist-letters-test-images-idx3-ubyte").write_bytes(head + grey.tobytes())
    (raw / "emnist-letters-test-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 2) + bytes([1, 26]))
    data = torchvision("EMNIST", root=tmp_path, variant="letters")
    assert [data.classes[label] for label in data.labels] == ["a", "z"]
    assert np.array_equal(data.read(data.ids), grey[:, None] / np.float32(255))


def test_every_name_and_split_of_a_suite_is_known_and_the_reverse():
    assert set(get_args(Name)) == set(KEPT)
    assert {split for kept in KEPT.values() for split in kept.parts} == set(get_args(Split))
    assert all(hasattr(datasets, name) for name in KEPT)


@pytest.mark.parametrize("name", KEPT)
def test_a_split_or_variant_that_there_is_none_of_is_told_with_those_there_are(tmp_path, name):
    kept = KEPT[name]
    for split in set(get_args(Split)) - set(kept.parts):
        with refused(place=f"torchvision:{name}: split", found=split, remedy=some(", ".join(kept.parts))):
            torchvision(name, root=tmp_path, split=split)
    with refused(place=f"torchvision:{name}: variant", problem=some("no variant 'other'")):
        torchvision(name, root=tmp_path, split=next(iter(kept.parts)), variant="other")
    with refused(component=f"dataset 'torchvision:{name}'", problem="not there", place=some(str(tmp_path))):
        torchvision(name, root=tmp_path, split=next(iter(kept.parts)))


@pytest.mark.parametrize("variable", ["RBENCH_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_fetched(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr("rbench.datasets.torchvision._open", lambda *_, **__: pytest.fail("reached out"))
    with refused(MissingError, place=str(tmp_path), problem=some(f"{variable}=1 forbids")):
        files("SVHN", root=tmp_path, download=True)


def test_a_file_that_is_mostly_a_hole_is_refused_before_it_is_read(tmp_path):
    raw = tmp_path / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in files_of_kmnist(raw):
        path.write_bytes(png(pixels(1)[0]))
    with files_of_kmnist(raw)[0].open("r+b") as file:
        file.truncate(2**33)
    with refused(problem="unpacks to more than data of its size can hold"):
        torchvision("KMNIST", root=tmp_path)


def files_of_kmnist(raw):
    return [raw / f"{part}-{what}-ubyte" for part in ("t10k",) for what in ("images-idx3", "labels-idx1")]
