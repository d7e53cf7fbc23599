import ast
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import rbench
from rbench.backbones.bundled import bundled
from rbench.bundled_files import weights_file, weights_name
from rbench.datasets.fashion_mnist_mini import fashion_mnist_mini, files
from rbench.errors import InputError

ASSETS = Path(rbench.__file__).parent / "assets"
CARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in ASSETS.glob("*.json")}


@pytest.mark.parametrize(
    "name", [name for name, card in CARDS.items() if "card" not in card]
)  # others: test_shipped_purifiers
def test_every_asset_is_the_file_that_its_provenance_describes(name):
    card = CARDS[name]
    found = [path for path in ASSETS.glob(f"{name}.*") if path.suffix != ".json"]
    assert len(found) == 1
    assert hashlib.sha256(found[0].read_bytes()).hexdigest() == card["sha256"]
    assert (ASSETS.parents[1] / card["recipe"]).is_file() or not (ASSETS.parents[1] / "recipes").is_dir()


def test_every_asset_has_a_provenance_and_a_small_size():
    assert {path.stem for path in ASSETS.iterdir() if path.suffix in (".npz", ".safetensors")} == set(CARDS)
    assert (ASSETS / "fashion-cnn.safetensors").stat().st_size <= 2_000_000
    assert files()[0].stat().st_size <= 500_000


def test_the_bundled_images_are_the_first_hundred_of_each_class_in_test_order():
    data = fashion_mnist_mini()
    assert len(data) == 1000
    assert data.shape == (1, 28, 28)
    assert np.bincount(data.labels).tolist() == [100] * 10
    with np.load(files()[0], allow_pickle=False) as archive:
        index = archive["test_index"].astype(int)
    assert (np.diff(index) > 0).all()
    assert index[0] == 0
    assert len(np.unique(data.labels[:50])) == 10
    assert data.classes[data.labels[0]] == "Ankle boot"


def test_the_bundled_classifier_scores_what_its_provenance_says():
    card, data = CARDS["fashion-cnn"], fashion_mnist_mini()
    model = bundled("fashion-cnn")
    x = torch.from_numpy(data.read(np.arange(1000)))
    found = float((model(x).argmax(1) == torch.from_numpy(data.labels)).float().mean())
    assert found == pytest.approx(card["accuracy_on_fashion_mnist_mini"], abs=0.0015)
    assert card["test_accuracy"] >= 0.91
    assert abs(found - card["test_accuracy"]) < 0.03  # a thousand of the ten thousand test images
    assert sum(p.numel() for p in model.parameters()) == card["parameters"] == 117_530


@pytest.mark.parametrize("kind", [str, Path])
def test_a_suite_names_weights_by_their_bundled_name_or_their_path(kind):
    assert weights_file(kind("bundled:fashion-cnn")) == ASSETS / "fashion-cnn.safetensors"
    assert weights_name(kind("bundled:fashion-cnn")) == "fashion-cnn"
    for path in ("mine/fashion-cnn.safetensors", "folder/bundled:fashion-cnn"):
        assert weights_file(kind(path)) == Path(path)
    assert weights_name(kind("mine/own.safetensors")) == "own"
    with pytest.raises(
        InputError, match=r"^bundled:gone: no such weights\. rbench brings bundled:.*bundled:fashion-cnn,"
    ):
        weights_file(kind("bundled:gone"))


@pytest.mark.parametrize("word", ["bundled:", "assets"])
def test_one_file_knows_what_bundled_means_and_where_its_files_lie(word):
    sources = Path(rbench.__file__).parent.rglob("*.py")
    spelled = {
        path.name
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value == word
    }
    assert spelled == {"bundled_files.py"}
