import pickle

import numpy as np
import pytest
from parts import refused, some

from rbench.datasets.npy import files, npy

N = 4


def blocks(seed=0):
    """Images of five severities in the layout of CIFAR-10-C, with labels for each."""
    x = np.random.default_rng(seed).integers(0, 256, (5 * N, 8, 8, 3), np.uint8)
    return x, np.tile(np.array([3, 0, 2, 1]), 5)


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(("gaussian_noise", "fog")):
        np.save(tmp_path / f"{name}.npy", blocks(seed)[0])
    np.save(tmp_path / "labels.npy", blocks()[1])
    return tmp_path


@pytest.mark.parametrize("severity", range(1, 6))
def test_a_severity_is_a_fifth_of_the_file_and_ids_are_those_of_the_photos(folder, severity):
    data = npy(folder, corruption="gaussian_noise", severity=severity)
    x, y = blocks()
    assert data.labels.tolist() == y[:N].tolist()
    assert data.ids.tolist() == list(range(N))
    part = x[(severity - 1) * N : severity * N].transpose(0, 3, 1, 2)
    assert np.array_equal(data.read(np.array([3, 1])), part[[3, 1]] / np.float32(255))
    assert data.provenance["severity"] == str(severity)


def test_without_a_severity_all_of_the_file_is_read(folder):
    data = npy(folder, corruption="fog")
    assert len(data) == 5 * N
    assert np.array_equal(data.read(data.ids), blocks(1)[0].transpose(0, 3, 1, 2) / np.float32(255))


def test_a_name_may_be_written_as_papers_do_and_one_that_is_not_there_is_told(folder):
    assert files(folder, corruption="gaussian-noise") == [folder / "gaussian_noise.npy", folder / "labels.npy"]
    with refused(place=f"{folder}: corruption", found="fog, gaussian_noise", problem=some("snow.npy")):
        npy(folder, corruption="snow")
    with refused(place=str(folder), found="fog, gaussian_noise", remedy="name one: corruption: NAME"):
        npy(folder)


def test_two_files_are_a_data_set_and_labels_lie_beside_the_images(folder):
    data = npy(folder / "fog.npy", severity=2)
    assert np.array_equal(data.read(data.ids), blocks(1)[0][N : 2 * N].transpose(0, 3, 1, 2) / np.float32(255))
    np.save(folder / "y.npy", np.arange(5 * N))
    assert npy(folder / "fog.npy", labels=folder / "y.npy").labels.tolist() == list(range(5 * N))
    with refused(place=str(folder / "fog.npy"), found="corruption: fog"):
        npy(folder / "fog.npy", corruption="fog")
    (folder / "labels.npy").unlink()
    with refused(place=str(folder / "labels.npy"), remedy=some("labels: FILE")):
        npy(folder / "fog.npy")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_and_grey_images_are_read_and_names_come_from_a_file(tmp_path, dtype):
    x = np.random.default_rng(0).random((N, 6, 6)).astype(dtype)
    np.save(tmp_path / "images.npy", x)
    np.save(tmp_path / "labels.npy", np.array([0, 1, 1, 0]))
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    data = npy(tmp_path, class_names=tmp_path / "names.txt")
    assert data.classes == ("cat", "dog")
    assert np.array_equal(data.read(data.ids), x[:, None].astype(np.float32))
    assert files(tmp_path, class_names=tmp_path / "names.txt")[-1] == tmp_path / "names.txt"


def test_images_stay_on_the_disk_until_they_are_read(tmp_path, monkeypatch):
    opened = []
    memmap = np.memmap
    monkeypatch.setattr(np, "memmap", lambda *given, **more: opened.append(more) or memmap(*given, **more))
    np.save(tmp_path / "images.npy", np.asfortranarray(blocks()[0]))
    np.save(tmp_path / "labels.npy", blocks()[1])
    data = npy(tmp_path)
    assert all(more["mode"] == "r" for more in opened)
    assert np.array_equal(data.read(np.array([5])), blocks()[0][5:6].transpose(0, 3, 1, 2) / np.float32(255))


# --- what is refused ----------------------------------------------------------------------------------------------


def test_pickled_objects_are_never_loaded(folder):
    marker = folder / "executed"

    class Bomb:
        def __reduce__(self):
            return (marker.touch, ())

    objects = np.array([Bomb()] * N, object)
    with (folder / "fog.npy").open("wb") as file:
        np.save(file, objects, allow_pickle=True)
    with refused(place=str(folder / "fog.npy"), problem=some("pickled objects")) as caught:
        npy(folder, corruption="fog")
    assert "allow_pickle" not in str(caught.value)
    (folder / "fog.npy").write_bytes(pickle.dumps(objects))
    with refused(place=str(folder / "fog.npy"), found=some("bytes that start with")):
        npy(folder, corruption="fog")
    assert not marker.exists()


@pytest.mark.parametrize("damage", ["cut", "longer", "lying", "hole", "empty"])
def test_a_file_of_another_size_than_its_header_says_is_refused(folder, damage):
    path = folder / "fog.npy"
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-7])
    elif damage == "longer":
        path.write_bytes(content + b"\0")
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        with path.open("wb") as file:
            shape = (2**20, 32, 32, 3)
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            if damage == "hole":
                file.truncate(file.tell() + 2**20 * 32 * 32 * 3)
    problem = "unpacks to more" if damage == "hole" else "not readable as an .npy file"
    if damage == "hole" and not path.stat().st_blocks * 512 < 2**26:
        pytest.skip("this file system has no holes")
    with refused(place=str(path), problem=some(problem)):
        npy(folder, corruption="fog")


def test_numbers_that_do_not_pair_up_are_told_with_both(folder):
    np.save(folder / "labels.npy", blocks()[1][:N])
    assert len(npy(folder, corruption="fog", severity=5)) == N
    with refused(found=f"{5 * N} images but {N} labels", remedy="give severity: 1 to 5"):
        npy(folder, corruption="fog")
    np.save(folder / "labels.npy", blocks()[1][:-1])
    with refused(found=f"{N} images but {5 * N - 1} labels"):
        npy(folder, corruption="fog", severity=5)


def test_another_layout_than_that_of_five_severities_is_refused(folder):
    np.save(folder / "labels.npy", np.arange(5 * N))
    with refused(place=some("severity"), problem="the blocks have other labels", found=some("image 0")):
        npy(folder, corruption="fog", severity=1)
    np.save(folder / "fog.npy", blocks()[0][:-1])
    with refused(place=some("severity"), found=f"{5 * N - 1} images"):
        npy(folder, corruption="fog", severity=1)


@pytest.mark.parametrize(
    ("x", "found"),
    [
        (np.zeros((5, 4, 4, 3), np.uint8), "uint8 with largest value 0"),
        (np.full((5, 4, 4, 3), 7, np.int64), "int64 values from 7 to 7"),
        (np.full((5, 4, 4, 3), 2.0), "values from 2 to 2"),
        (np.zeros((5, 48)), "shape (5, 48)"),
    ],
)
def test_pixels_that_are_none_are_refused(tmp_path, x, found):
    np.save(tmp_path / "images.npy", x)
    np.save(tmp_path / "labels.npy", np.arange(5))
    with refused(place=some("images.npy: images"), found=some(found)):
        npy(tmp_path)


@pytest.mark.parametrize(("text", "place"), [("a\n\nb\n", "line 2"), ("a\nb\na\n", "line 3"), ("\xff", "names.txt")])
def test_class_names_that_are_none_are_refused(folder, text, place):
    (folder / "names.txt").write_bytes(text.encode("latin-1"))
    with refused(place=some(place)):
        npy(folder, corruption="fog", class_names=folder / "names.txt")
    (folder / "names.txt").write_text("a\nb\n")
    with refused(found="label 3", problem=some("there are 2 classes")):
        npy(folder, corruption="fog", class_names=folder / "names.txt")
