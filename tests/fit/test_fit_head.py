import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy.optimize import minimize
from torch.nn.functional import cross_entropy, linear

import rbench
from rbench.fit.head import fit_head
from rbench.fit.recipe import HeadTraining
from rbench.fit.run import fit


def test_the_head_is_the_optimum_of_regularised_logistic_regression():
    """Against scipy from another start, on features that are standardised already."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(40)
    x = torch.randn(120, 4, generator=draw) + torch.eye(3, 4)[labels]
    x = (x - x.mean(0)) / x.std(0)
    head = fit_head(x, labels, HeadTraining(weight_decay=0.05))

    def loss(flat):
        weight, bias = torch.from_numpy(flat[:12]).view(3, 4), torch.from_numpy(flat[12:])
        return float(cross_entropy(linear(x.double(), weight, bias), labels) + 0.05 * weight.square().sum())

    found = minimize(loss, np.ones(15), method="BFGS", options={"gtol": 1e-7, "maxiter": 2000})
    assert head.curve[-1]["loss"] == pytest.approx(found.fun, abs=1e-5)
    assert head.weight.flatten().tolist() == pytest.approx(found.x[:12].tolist(), abs=1e-4)


def test_the_scale_and_place_of_a_feature_do_not_matter():
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat(25)
    x = torch.randn(100, 5, generator=draw)
    moved = x * torch.tensor([1.0, 10.0, 100.0, 0.1, 5.0]) + torch.tensor([0.0, 50.0, -3.0, 7.0, 0.0])
    plain, other = (fit_head(f, labels, HeadTraining(weight_decay=0.05)) for f in (x, moved))
    same = linear(x, plain.weight, plain.bias).argmax(1) == linear(moved, other.weight, other.bias).argmax(1)
    assert same.double().mean() >= 0.97


def test_a_fitted_head_is_a_backbone_and_its_accuracy_is_that_of_the_card(recipe, tmp_path):
    fitted = fit(recipe("head", "purifier=identity", "training.held_out=0"), tmp_path)
    backbone = rbench.load("backbone", "bundled:fashion-cnn", head=str(fitted.weights))
    data = rbench.load("dataset", "fashion-mnist-mini")
    ids = np.sort(np.random.default_rng(0).permutation(1000)[:300])
    answers = backbone(torch.from_numpy(data.read(ids))).argmax(1)
    right = float((answers == torch.from_numpy(data.labels[ids])).double().mean())
    assert right == pytest.approx(fitted.card.metrics["accuracy"], abs=1e-6)
    assert right > 0.9


def test_a_head_of_another_layer_says_so_in_its_header(recipe, tmp_path):
    fitted = fit(recipe("head", "layer=head.1"), tmp_path)
    with safe_open(fitted.weights, framework="numpy") as file:
        assert file.metadata() == {"layer": "head.1"}
        assert file.get_tensor("weight").shape == (10, 32 * 7 * 7)
    assert rbench.load("backbone", "bundled:fashion-cnn", head=str(fitted.weights))(torch.rand(2, 1, 28, 28)).shape == (
        2,
        10,
    )


def test_a_head_is_fitted_through_its_purifier_the_same_way_every_time(recipe, tmp_path):
    noisy = [fit(recipe("head"), tmp_path / name).card.weights.sha256 for name in "ab"]
    clean = fit(recipe("head", "purifier=identity"), tmp_path / "c").card.weights.sha256
    assert noisy[0] == noisy[1] != clean
