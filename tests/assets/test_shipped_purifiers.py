"""The purifiers that come with rbench, against their cards and their committed results."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

import rbench
from rbench.bundled_files import weights_file
from rbench.fit.card import read_card

ROOT = Path(__file__).parents[2]
SUITE, RUN = ROOT / "suites" / "cropd" / "fashion.yaml", ROOT / "results" / "cropd-fashion"
NAMES = {"fashion-cropd": "cropd", "fashion-autoencoder": "autoencoder", "fashion-dae": "denoising-autoencoder"}
FITTED = [*NAMES, "fashion-head", *(f"{name}-head" for name in NAMES), "fashion-cnn-adversarial"]


@pytest.mark.parametrize("name", FITTED)
def test_every_fitted_file_is_small_and_the_one_of_its_card(name):
    path = weights_file(f"bundled:{name}")
    card = read_card(path.with_suffix(".json"))
    assert card.name == name
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card.weights.sha256
    assert path.stat().st_size <= 2_000_000
    assert (card.data.samples, card.data.held_out) == (60_000, 0)


def test_cropd_was_trained_in_twenty_minutes_and_its_siblings_on_the_same_images():
    cards = [read_card(weights_file(f"bundled:{name}").with_suffix(".json")) for name in NAMES]
    assert cards[0].seconds <= 20 * 60
    assert len({card.data.sha256 for card in cards}) == 1
    assert all(card.recipe["network"] == cards[0].recipe["network"] for card in cards)
    assert all(card.recipe["training"] == cards[0].recipe["training"] for card in cards)


@pytest.mark.parametrize(("weights", "purifier"), NAMES.items())
def test_a_shipped_purifier_loads_by_name_and_gives_images_back(weights, purifier):
    module = rbench.load("purifier", purifier, weights=f"bundled:{weights}")
    x = torch.from_numpy(rbench.load("dataset", "fashion-mnist-mini").read(np.arange(20)))
    purified = module(x)
    assert purified.shape == x.shape
    assert float((purified - x).square().flatten(1).sum(1).mean()) < float(x.square().flatten(1).sum(1).mean()) / 4


@pytest.mark.parametrize("samples", [100, pytest.param(500, marks=pytest.mark.soak)])
def test_the_shipped_cropd_has_its_committed_robust_accuracy_on_a_part_of_the_samples(tmp_path, samples):
    """The same attack, judged again, sample by sample; kernels of another machine may turn one in a hundred."""
    from rbench.results.store import RunFolder
    from rbench.running.runner import run
    from rbench.suite.load import load_suite
    from rbench.suite.plan import plan

    planned = plan(load_suite(SUITE), only="*/cropd/pgd", limit=samples)
    folder = RunFolder.create(tmp_path)
    with folder.lock():
        (record,) = run(planned.cells, folder)
    assert record.status == "done"
    again = folder.read_samples(record).to_pandas().set_index("sample")["robust"]
    committed = rbench.read(RUN)
    cells = committed.records
    (cell,) = cells[(cells["purifier"] == "cropd") & (cells["attack"] == "pgd")]["cell"]
    then = committed.samples[committed.samples["cell"] == cell].set_index("sample")["robust"].loc[again.index]
    assert len(again) == samples
    assert (again != then).sum() <= samples // 100
