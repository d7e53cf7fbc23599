"""Pictures are decoded once in a run, and kept where they take no memory."""

import os
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from small_runs import rbench, records

from rbench.datasets import pictures
from rbench.datasets.image_folder import image_folder
from rbench.datasets.types import Dataset
from rbench.errors import InputError
from rbench.running.read_once import ReadOnce, read_once

SUITE = """\
suite: pictures
dataset: {{name: image-folder, path: {path}}}
threat: {{norm: Linf, eps: 0.05}}
backbones: [bundled:fashion-cnn]
attacks: [{{name: pgd, steps: 2}}, fgsm, noise]
"""
IDS = np.arange(6)


def reader(images):
    """A reader of some images, and the list of what it was asked for."""
    asked = []

    def read(ids):
        asked.extend(ids.tolist())
        return images[ids]

    return read, asked


def eight_bits(count=6, side=5):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 3, side, side)).astype(np.float32) / np.float32(255)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for label in range(10):
        (tmp_path / "pictures" / str(label)).mkdir(parents=True)
        picture = Image.fromarray(rng.integers(0, 256, (28, 28), dtype=np.uint8))
        picture.save(tmp_path / "pictures" / str(label) / "one.png")
    return tmp_path / "pictures"


def test_a_run_of_several_attacks_decodes_each_picture_once(folder, tmp_path, monkeypatch):
    opened, real = [], pictures.Image.open
    monkeypatch.setattr(pictures.Image, "open", lambda *given, **more: opened.append(1) or real(*given, **more))
    suite = tmp_path / "suite.yaml"
    suite.write_text(SUITE.format(path=folder))
    assert rbench("run", suite, "--out", tmp_path / "run") == 0
    assert len(opened) == len(list(folder.rglob("*.png"))) == 10
    assert len(records(tmp_path / "run")) == 3


def test_what_is_read_again_is_the_same_to_the_bit(folder):
    once, always = read_once(image_folder(folder)), image_folder(folder)
    for ids in (IDS, IDS[::-1].copy(), np.array([3, 3, 9, 0]), IDS):
        assert np.array_equal(once.read(ids), always.read(ids))
        assert once.read(ids).dtype == np.float32


def test_only_what_was_not_read_before_is_asked_for():
    images = eight_bits()
    read, asked = reader(images)
    once = ReadOnce(read, 6)
    for ids in ([0, 1], [1, 2, 0], [5, 2, 4]):
        assert np.array_equal(once(np.array(ids)), images[ids])
    assert asked == [0, 1, 2, 5, 4]


def test_images_that_eight_bits_do_not_hold_are_read_again():
    images = eight_bits()
    images[2] += np.float32(1e-4)
    read, asked = reader(images)
    once = ReadOnce(read, 6)
    assert np.array_equal(once(IDS), images)
    assert np.array_equal(once(IDS), images)
    assert asked == [*range(6), 2]


def test_no_more_is_kept_than_there_is_room_for():
    images = eight_bits()
    read, asked = reader(images)
    once = ReadOnce(read, 6, most=2 * images[0].size)
    for _ in range(2):
        assert np.array_equal(once(IDS), images)
    assert asked == [*range(6), 2, 3, 4, 5]


@pytest.mark.parametrize("call", ["pwrite", "pread"])
def test_a_disk_that_fails_costs_time_and_nothing_else(monkeypatch, call):
    def fails(*arguments):
        raise OSError(28, "No space left on device")

    images = eight_bits()
    read, asked = reader(images)
    once = ReadOnce(read, 6)
    monkeypatch.setattr(os, call, fails)
    for _ in range(2):
        assert np.array_equal(once(IDS), images)
    assert asked == [*range(6), *range(6)]


def test_what_is_kept_takes_no_memory():
    side, count = 100, 60
    image = np.zeros((1, 3, side, side), np.float32)
    once = ReadOnce(lambda ids: image.repeat(len(ids), 0), count)
    once(np.array([0]))
    tracemalloc.start()
    for sample in [*range(count), *range(count)]:
        once(np.array([sample]))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < image.nbytes / 2


@pytest.mark.parametrize(
    "strange", [np.zeros((2, 4, 4), np.float32), np.zeros((2, 1, 4, 4)), np.zeros((2, 1, 9, 4), np.float32)]
)
def test_images_of_another_form_than_the_first_are_handed_on_for_the_data_set_to_refuse(strange):
    plain = np.zeros((2, 1, 4, 4), np.float32)
    once = ReadOnce(lambda ids: plain[: len(ids)] if ids.max() < 2 else strange[: len(ids)], 6)
    once(np.array([0, 1]))
    assert once(np.array([1, 3])) is not plain
    assert once(np.array([1, 3])).shape == strange.shape
    data = read_once(Dataset(np.zeros(6, int), lambda ids: plain[: len(ids)] if ids.max() < 2 else strange[: len(ids)]))
    data.read([0, 1])
    with pytest.raises(InputError):
        data.read([1, 3])


def test_refusals_of_the_data_set_stay_what_they_were():
    def read(ids):
        images = np.full((len(ids), 1, 4, 4), 0.5, np.float32)
        images[ids == 3] = 2
        return images

    data = read_once(Dataset(np.zeros(6, int), read, provenance={"source": "mine"}))
    with pytest.raises(InputError, match="sample 3"):
        data.read([1, 2, 3])
    with pytest.raises(InputError, match="sample 3"):
        data.read([3])
    assert data.read([1, 2]).shape == (2, 1, 4, 4)
