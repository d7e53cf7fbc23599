"""The recipes and suites of the repository: every one is valid, and every suite plans once its files are there."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save

from rbench.datasets.torchvision import files
from rbench.errors import InputError
from rbench.fit.load import load_recipe
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))
SUITES = sorted((ROOT / "suites" / "cropd").glob("*.yaml"))
DATA = ("fashion", "cifar2", "cifar10", "cifar100", "svhn", "imagenette", "tiny-imagenet")


def named(paths):
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


@pytest.mark.parametrize("path", named(RECIPES))
def test_every_recipe_is_valid_and_called_like_its_file(path):
    name = load_recipe(path).spec.recipe
    assert name == f"{path.parent.name}-{path.stem}"


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(save({"weight": np.zeros(1, np.float32)}) if path.suffix == ".safetensors" else path.name.encode())


def place_files(text):
    """Everything that a suite names and the repository does not bring."""
    for name in re.findall(r"[\w./-]+\.(?:safetensors|parquet)", text):
        put(Path(name))
    dataset = yaml.safe_load(text)["dataset"]
    if isinstance(dataset, dict) and dataset["name"] == "image-folder":
        put(Path(dataset["path"]) / "class" / "picture.jpeg")
    if isinstance(dataset, dict) and dataset["name"].startswith("torchvision:"):
        name = dataset["name"].removeprefix("torchvision:")
        with pytest.raises(InputError) as error:
            files(name, root=Path(dataset["root"]))
        missing: str | None = error.value.place
        while missing is not None:
            put(Path(missing))
            try:
                files(name, root=Path(dataset["root"]))
            except InputError as another:
                missing = another.place
            else:
                missing = None


@pytest.mark.parametrize("path", named(SUITES))
def test_every_suite_plans_and_attacks_every_purifier_with_the_ladder(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place_files(path.read_text())
    cells = plan(load_suite(path)).cells
    assert {cell.purifier.label for cell in cells if cell.attack.name == "adaptive"} == {
        cell.purifier.label for cell in cells
    }


def test_every_data_set_has_a_suite_and_recipes_of_all_three_purifiers():
    assert {path.stem for path in SUITES} >= set(DATA)
    for data in DATA:
        recipes = {path.stem for path in RECIPES if path.parent.name == data}
        assert recipes >= {"cropd", "autoencoder", "dae"}


@pytest.mark.parametrize("data", DATA)
def test_the_siblings_differ_from_cropd_in_the_objective_alone(data):
    cropd, *siblings = (
        load_recipe(ROOT / "recipes" / "cropd" / data / f"{name}.yaml").spec for name in ("cropd", "autoencoder", "dae")
    )
    for sibling in siblings:
        for field in ("dataset", "network", "training"):
            assert getattr(sibling, field) == getattr(cropd, field)
