"""Published figures stand beside the rows that they are of, and beside no other."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from made_runs import Made

from rbench.claims import figures
from rbench.claims.data_sets import data_set
from rbench.results.columns import COLUMNS
from rbench.results.published import COLUMNS as PUBLISHED
from rbench.results.runs import read_runs
from rbench.results.table import table

ROOT = Path(__file__).parents[2]
CARMON = {"dataset": "cifar10", "threat": "Linf"}
EIGHT = Fraction(8, 255)


def only_row(root, robust, *, verified=True, **changes):
    """The one row of a run of Carmon2019Unlabeled on CIFAR-10 at Linf 8/255, with changes."""
    cell = {
        "backbone": "robustbench:Carmon2019Unlabeled",
        "backbone_params": CARMON,
        "purifier": "identity",
        "dataset": "parquet",
        "dataset_label": "cifar10",
        "eps": "8/255",
        **changes,
    }
    Made(root).done("aa", clean=[1] * len(robust), robust=robust, cell_changes=cell)
    made = table(read_runs([root]))
    (row,) = made.rows()
    return made, row


def test_the_figures_are_those_of_the_cards():
    found = figures.of_robustbench("Carmon2019Unlabeled", "cifar10", "Linf", EIGHT)
    assert (found.accuracy, found.best_known, found.unreliable) == (0.5953, None, False)
    assert found.source == "RobustBench of 2025-03-31; https://arxiv.org/abs/1905.13736"
    sodef = figures.of_robustbench("Kang2021Stable", "cifar10", "Linf", EIGHT)
    assert (sodef.accuracy, sodef.best_known, sodef.unreliable) == (0.7128, 0.642, True)


def test_the_file_says_where_it_is_from_and_has_every_card_once():
    content = json.loads((ROOT / "rbench/claims/robustbench.json").read_text())
    rows = [dict(zip(content["columns"], values, strict=True)) for values in content["rows"]]
    assert (ROOT / content["recipe"]).is_file()
    assert content["date"] == "2025-03-31"
    assert sum(row["autoattack"] is not None for row in rows) == 188
    assert sum(row["corruptions"] is not None for row in rows) == 48
    assert len({(row["dataset"], row["threat"], row["model"]) for row in rows}) == len(rows)


@pytest.mark.parametrize(
    "wrong", [("Carmon2019", "cifar10", "Linf", EIGHT), ("Carmon2019Unlabeled", "cifar10", "L2", EIGHT)]
)
def test_no_figure_is_none(wrong):
    assert figures.of_robustbench(*wrong) is None


def test_a_radius_that_is_nearly_the_same_is_another():
    at = [
        figures.of_robustbench("Zhang2019Theoretically", "cifar10", "Linf", eps) for eps in (Fraction("0.031"), EIGHT)
    ]
    assert [one is not None for one in at] == [True, False]


def test_ours_at_the_published_figure_is_inside_and_far_from_it_outside(tmp_path):
    near = np.arange(100) < 60
    made, row = only_row(tmp_path / "near", near)
    assert row["robust_low"] < row["published"] == 0.5953 < row["robust_high"]
    assert row["published_inside"] is True
    assert list(made.columns) == [*COLUMNS, *PUBLISHED] == list(made.frame.columns)
    _, far = only_row(tmp_path / "far", np.arange(100) < 80)
    assert far["published_inside"] is False


@pytest.mark.parametrize(
    "changes",
    [
        {"purifier": "jpeg"},
        {"backbone": "file:Carmon2019Unlabeled"},
        {"backbone": "robustbench:Nobody2030"},
        {"backbone_params": {**CARMON, "threat": "L2"}},
        {"backbone_params": {**CARMON, "dataset": "cifar100"}},
        {"backbone_params": {**CARMON, "head": "head.safetensors"}},
        {"backbone_params": None},
        {"dataset_label": "cifar100"},
        {"dataset_label": "my-pictures"},
        {"eps": "4/255"},
        {"eps": "31/1000"},
    ],
    ids=str,
)
def test_another_model_data_set_or_threat_has_no_figure_and_its_table_no_column(tmp_path, changes):
    made, row = only_row(tmp_path, [1, 1, 0, 0], **changes)
    assert list(made.columns) == list(row) == list(COLUMNS)


@pytest.mark.parametrize("eps", ["1e999999999", "8/0", "0/255", "9" * 400, "x"])
def test_a_radius_that_nobody_planned_is_not_worked_out(tmp_path, eps):
    from rbench.results.published import _exact

    assert _exact(eps) is None


def test_a_row_without_a_number_has_the_figure_and_no_mark(tmp_path):
    made = Made(tmp_path)
    cell = {"backbone": "robustbench:Carmon2019Unlabeled", "backbone_params": CARMON, "purifier": "identity"}
    made.other("aa", "failed", dataset="torchvision:CIFAR10", **cell)
    (row,) = table(read_runs([tmp_path])).rows()
    assert (row["robust_accuracy"], row["published"], row["published_inside"]) == (None, 0.5953, None)


@pytest.mark.parametrize(
    ("name", "label", "params", "found"),
    [
        ("torchvision:CIFAR10", "torchvision:CIFAR10", {}, "cifar10"),
        ("torchvision:CIFAR10", "mine", {"split": "test"}, "cifar10"),
        ("torchvision:CIFAR10", "cifar10", {"split": "train"}, None),
        ("torchvision:CIFAR10", "cifar10", {"classes": [3, 5]}, None),
        ("torchvision:CIFAR100", "CIFAR-100", {}, "cifar100"),
        ("parquet", "CIFAR-10", {}, "cifar10"),
        ("parquet", "cifar10-test", {}, "cifar10"),
        ("parquet", "cifar10-train", {}, None),
        ("parquet", "cifar10-c", {}, None),
        ("image-folder", "ImageNet val", {}, "imagenet"),
        ("image-folder", "imagenet-sample", {}, None),
    ],
)
def test_a_data_set_is_known_by_its_name(name, label, params, found):
    assert data_set(name, label, params) == found
