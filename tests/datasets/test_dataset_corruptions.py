"""Corrupted images: those that the library makes, and those of files, matched with the clean ones."""

# ruff: noqa: NPY002 - the library draws from the legacy generator

import hashlib
from pathlib import Path

import numpy as np
import pytest
from parts import ANY, refused, some
from PIL import Image

from rbench.datasets.corrupted_files import corrupted_files
from rbench.datasets.corruptions import corrupted, seed_of
from rbench.datasets.image_folder import image_folder
from rbench.datasets.subset import of_classes
from rbench.datasets.types import Dataset

N = 6
LABELS = np.array([3, 0, 2, 1, 0, 2])


def pictures(count=3, channels=3, side=32):
    return np.random.default_rng(1).random((count, channels, side, side), np.float32)


def by_hand(image, name, severity, seed, sample):
    """What the library makes of one image, without our code: the seed as the documentation has it."""
    from imagecorruptions import corrupt

    digest = hashlib.sha256(f"{seed} {sample} {name} {severity}".encode()).digest()
    number = digest[0] + 256 * digest[1] + 256**2 * digest[2] + 256**3 * digest[3]
    np.random.seed(number)
    own = {"seed": number} if name in ("glass-blur", "impulse-noise") else {}
    levels = np.round(image * 255).astype(np.uint8)
    shown = levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0)
    return corrupt(shown, severity=severity, corruption_name=name.replace("-", "_"), **own)


@pytest.mark.parametrize("name", ["gaussian-noise", "impulse-noise", "glass-blur", "frost", "fog", "pixelate"])
def test_images_are_those_that_the_library_makes_from_the_same_seed(name):
    pytest.importorskip("imagecorruptions")
    x, ids = pictures(), np.array([4, 17, 2])
    made = corrupted(x, ids, name, 3, seed=5)
    assert made.dtype == np.uint8
    for image, out, sample in zip(x, made, ids, strict=True):
        assert np.array_equal(out, by_hand(image, name, 3, 5, sample).transpose(2, 0, 1))


@pytest.mark.parametrize("name", ["gaussian-noise", "impulse-noise", "snow"])
def test_an_image_depends_on_no_other_and_on_no_state_which_stays_as_it_was(name):
    pytest.importorskip("imagecorruptions")
    x, ids = pictures(), np.array([4, 17, 2])
    whole = corrupted(x, ids, name, 5, seed=0)
    np.random.seed(99)
    before = np.random.get_state()[1].copy()
    turned = corrupted(x[::-1].copy(), ids[::-1].copy(), name, 5, seed=0)
    assert np.array_equal(np.random.get_state()[1], before)
    assert np.array_equal(turned[::-1], whole)
    assert not np.array_equal(corrupted(x, ids, name, 5, seed=1), whole)


def test_a_grey_image_stays_grey_as_pillow_makes_it():
    pytest.importorskip("imagecorruptions")
    x = pictures(1, channels=1)
    made = corrupted(x, np.array([0]), "fog", 2, seed=0)
    wanted = Image.fromarray(by_hand(x[0], "fog", 2, 0, 0)).convert("L")
    assert made.shape == (1, 1, 32, 32)
    assert np.array_equal(made[0, 0], np.asarray(wanted))


def test_small_images_and_other_channels_are_refused_before_the_library_is_asked():
    for shape, found in (((1, 1, 28, 28), "1 channels, 28x28"), ((1, 4, 32, 32), "4 channels, 32x32")):
        with refused(place="threat", found=found, problem=some("32x32")):
            corrupted(np.zeros(shape, np.float32), np.array([0]), "fog", 1, seed=0)


def test_seeds_differ_by_all_that_they_are_made_of():
    base = (0, 1, "fog", 1)
    others = [(1, 1, "fog", 1), (0, 2, "fog", 1), (0, 1, "snow", 1), (0, 1, "fog", 2)]
    assert len({seed_of(*one) for one in (base, *others)}) == 5
    assert 0 <= seed_of(*base) < 2**32


def clean(shape=(3, 8, 8)):
    x = np.random.default_rng(0).random((N, *shape), np.float32)
    return Dataset(LABELS, lambda ids: x[ids], provenance={"source": "clean"})


@pytest.fixture
def arrays(tmp_path):
    """The layout of CIFAR-10-C for six images: five severities one below the other."""
    x = np.random.default_rng(3).integers(0, 256, (5 * N, 8, 8, 3), np.uint8)
    np.save(tmp_path / "gaussian_noise.npy", x)
    np.save(tmp_path / "labels.npy", np.tile(LABELS, 5))
    return tmp_path, x


def read_arrays(folder, dataset=None):
    return corrupted_files(folder, "gaussian-noise", dataset or clean(), "npz", {})


@pytest.mark.parametrize("severity", range(1, 6))
def test_a_severity_is_a_block_in_the_order_of_the_clean_images(arrays, severity):
    folder, x = arrays
    found = read_arrays(folder)(np.array([5, 2]), severity)
    assert np.array_equal(found, x[[(severity - 1) * N + 5, (severity - 1) * N + 2]].transpose(0, 3, 1, 2))


def test_classes_that_were_chosen_and_renumbered_are_still_matched(arrays):
    folder, x = arrays
    found = read_arrays(folder, of_classes(clean(), [2, 0]))(np.array([2]), 1)
    assert np.array_equal(found, x[[2]].transpose(0, 3, 1, 2))


def test_files_of_other_images_are_refused(arrays):
    folder, x = arrays
    file, labels = folder / "gaussian_noise.npy", folder / "labels.npy"
    np.save(labels, np.tile(LABELS[::-1], 5))
    with refused(place=f"{labels}: sample 0", found="label 2", problem=some("the clean image has 3")):
        read_arrays(folder)
    np.save(labels, np.concatenate([np.tile(LABELS, 4), LABELS[::-1]]))
    with refused(place=f"{labels}: sample {4 * N}", found="label 2"):
        read_arrays(folder)
    np.save(labels, LABELS[:4])
    with refused(place=str(labels), found="4 labels"):
        read_arrays(folder)
    np.save(labels, np.tile(LABELS, 5))
    np.save(file, x[:-1])
    with refused(place=str(file), found=f"{5 * N - 1} images", remedy=some(f"5 severities of the {N} clean images")):
        read_arrays(folder)
    np.save(file, x[:, :7])
    with refused(place=str(file), found="3x7x8", problem=some("3x8x8")):
        read_arrays(folder)
    np.save(file, x.astype(np.float32))
    with refused(place=str(file), found="float32"):
        read_arrays(folder)


def test_pictures_in_folders_are_matched_by_class_and_name(tmp_path):
    rng = np.random.default_rng(0)
    made = {}
    for kind, name in (("cat", "b.png"), ("cat", "a.png"), ("dog", "a.png")):
        for place in (Path("clean"), Path("c/fog/2")):
            pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
            path = tmp_path / place / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
            made[place, kind, name] = pixels
    params = {"path": str(tmp_path / "clean")}
    read = corrupted_files(tmp_path / "c", "fog", image_folder(tmp_path / "clean"), "image-folder", params)
    wanted = [made[Path("c/fog/2"), "cat", "a.png"], made[Path("c/fog/2"), "dog", "a.png"]]
    assert np.array_equal(read(np.array([0, 2]), 2), np.stack(wanted).transpose(0, 3, 1, 2))
    (tmp_path / "c/fog/2/dog/a.png").unlink()
    with refused(place=some(str(tmp_path / "c/fog/2/dog/a.png")), remedy=ANY):
        read(np.array([2]), 2)
    with refused(place="threat.path", found="npz"):
        corrupted_files(tmp_path / "c", "fog", image_folder(tmp_path / "clean"), "npz", params)
