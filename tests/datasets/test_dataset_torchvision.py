import gzip
import hashlib
import pickle
import socket
import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from parts import refused, some
from PIL import Image
from torchvision import datasets

from rbench.datasets.torchvision import files, torchvision
from rbench.errors import MissingError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
N = 6


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def make_mnist(root, monkeypatch):
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    images, labels = pixels(N, 28, 28), np.arange(N, dtype=np.uint8)
    for prefix in ("t10k", "train"):
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))
    return images[:, None], labels


def make_cifar(root, monkeypatch, cls, folder, batches, meta, keys):
    images, labels = pixels(N, 3, 32, 32), np.arange(N)
    (root / folder).mkdir()
    names = [(batch, {"data": images.reshape(N, -1), keys[0]: labels.tolist()}) for batch in batches]
    names.append((meta, {keys[1]: [f"class {i}" for i in range(10)]}))
    sums = {}
    for name, content in names:
        data = pickle.dumps(content, protocol=2)
        (root / folder / name).write_bytes(data)
        sums[name] = hashlib.md5(data).hexdigest()
    monkeypatch.setattr(cls, "train_list", [])
    monkeypatch.setattr(cls, "test_list", [[batch, sums[batch]] for batch in batches])
    monkeypatch.setattr(cls, "meta", {"filename": meta, "key": keys[1], "md5": sums[meta]})
    return images, labels


def make_cifar10(root, monkeypatch):
    cls = datasets.CIFAR10
    return make_cifar(
        root, monkeypatch, cls, "cifar-10-batches-py", ["test_batch"], "batches.meta", ("labels", "label_names")
    )


def make_cifar100(root, monkeypatch):
    cls = datasets.CIFAR100
    return make_cifar(root, monkeypatch, cls, "cifar-100-python", ["test"], "meta", ("fine_labels", "fine_label_names"))


def make_svhn(root, monkeypatch):
    images, labels = pixels(N, 3, 32, 32), np.array([1, 2, 3, 4, 5, 10])
    path = root / "test_32x32.mat"
    scipy.io.savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": labels[:, None]})
    entry = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(datasets.SVHN, "split_list", {"test": entry, "train": entry})
    return images, labels % 10


MAKERS = {"MNIST": make_mnist, "CIFAR10": make_cifar10, "CIFAR100": make_cifar100, "SVHN": make_svhn}


@pytest.mark.parametrize("name", MAKERS)
def test_torchvisions_own_readers_give_the_stored_pixels_and_labels(name, tmp_path, monkeypatch):
    images, labels = MAKERS[name](tmp_path, monkeypatch)
    data = torchvision(name, root=tmp_path)
    assert data.labels.tolist() == labels.tolist()
    assert len(data.classes) == 10
    expected = images.astype(np.float32) / np.float32(255)
    assert np.array_equal(data.read(np.arange(N)), expected)
    assert np.array_equal(data.read(np.array([4, 1])), expected[[4, 1]])
    assert all(path.is_file() for path in files(name, root=tmp_path, split="test"))


def test_imagenette_pictures_are_resized_and_cropped(tmp_path):
    for number, wnid in enumerate(("n01440764", "n03028079")):
        for split in ("val", "train"):
            folder = tmp_path / "imagenette2-320" / split / wnid
            folder.mkdir(parents=True)
            for i in range(2):
                Image.fromarray(pixels(40 + number, 50 + i, 3)).save(folder / f"{i}.jpeg", "JPEG")
    data = torchvision("Imagenette", root=tmp_path, size=32, crop=32)
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert data.classes == ("tench", "church")
    assert data.read(np.arange(4)).shape == (4, 3, 32, 32)
    assert files("Imagenette", root=tmp_path) == [tmp_path / "imagenette2-320" / "val"]


@pytest.mark.parametrize("name", ["CIFAR10", "CIFAR100", "SVHN", "MNIST", "FashionMNIST", "Imagenette", "STL10"])
def test_missing_files_are_named_with_the_way_to_get_them(name, tmp_path):
    for read in (torchvision, files):
        with refused(
            component=f"dataset 'torchvision:{name}'",
            place=some(f"{tmp_path}/"),
            problem="not there",
            remedy=some("download: true"),
        ):
            read(name, root=tmp_path)


def test_a_download_without_network_says_so(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    remedy = "without network, copy the files there"
    with refused(MissingError, place=str(tmp_path), problem=some("unreachable"), remedy=remedy):
        files("SVHN", root=tmp_path, download=True)


def test_a_pickle_that_is_not_the_published_one_is_never_opened(tmp_path, monkeypatch):
    make_cifar10(tmp_path, monkeypatch)
    marker = tmp_path / "executed"

    class Bomb:
        def __reduce__(self):
            return (marker.write_text, ("boom",))

    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(Bomb()))
    with refused(place=str(tmp_path), problem=some("not readable as torchvision's CIFAR10")):
        torchvision("CIFAR10", root=tmp_path)
    assert not marker.exists()


def test_truncated_idx_files_are_refused(tmp_path, monkeypatch):
    make_mnist(tmp_path, monkeypatch)
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    content = path.read_bytes()
    for end in (0, 3, 16, len(content) - 1):
        path.write_bytes(content[:end])
        with refused(place=str(tmp_path), problem=some("not readable as torchvision's MNIST")):
            torchvision("MNIST", root=tmp_path)


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_the_real_fashion_mnist_test_set_is_read(tmp_path):
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for path in DEBIAN.glob("*.gz"):
        (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    data = torchvision("FashionMNIST", root=tmp_path)
    assert len(data) == 10_000
    assert data.shape == (1, 28, 28)
    assert np.bincount(data.labels).tolist() == [1000] * 10
    assert data.classes[9] == "Ankle boot"
