"""Which cell of today's plan a recorded one is: the one of the same work, whatever code and files were on the day of the record."""

import shutil
from importlib.resources import files

import pytest

from rbench.results.duplicates import work_of
from rbench.suite.load import load_suite
from rbench.suite.plan import plan
from rbench.verifying.planned import by_work, planned_cell

SUITE = """\
suite: twins
dataset: {name: fashion-mnist-mini, samples: 24}
threat: {norm: Linf, eps: 0.05}
backbones:
  - {name: "bundled:fashion-cnn", head: one/head.safetensors, as: one}
  - {name: "bundled:fashion-cnn", head: two/head.safetensors, as: two}
purifiers: [identity]
attacks: [adaptive, {name: autoattack, batch_size: 8}, {name: autoattack, batch_size: 16, as: larger}]
"""


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """The cells of two backbones whose heads are two files of one name."""
    for folder, asset in (("one", "fashion-head"), ("two", "fashion-dae-head")):
        (tmp_path / folder).mkdir()
        shutil.copy(str(files("rbench") / "assets" / f"{asset}.safetensors"), tmp_path / folder / "head.safetensors")
    (tmp_path / "suite.yaml").write_text(SUITE)
    monkeypatch.chdir(tmp_path)
    return plan(load_suite(tmp_path / "suite.yaml", [])).cells


def recorded(cell, **changes):
    """A planned cell as a record has it, parts of its attack changed."""
    document = cell.document()
    return {**document, "attack": {**document["attack"], **changes}, "id": cell.id}


def test_of_cells_that_differ_in_a_file_or_a_batch_size_each_is_its_own(cells):
    assert len(cells) == 6
    assert len({work_of(cell.document()) for cell in cells}) == 2
    assert [planned_cell(recorded(cell), by_work(cells)).id for cell in cells] == [cell.id for cell in cells]


def test_a_record_of_another_day_is_still_planned(cells):
    for cell in cells:
        then = {**recorded(cell, version="rbench 0.1.0+old"), "id": "old", "threat": {"norm": "Linf", "eps": "1/20"}}
        assert planned_cell(then, by_work(cells)).attack == cell.attack


def test_a_batch_size_that_no_longer_counts_is_passed_over_and_one_that_counts_is_not(cells):
    ladder, small = (next(cell for cell in cells if cell.attack.label == label) for label in ("adaptive", "autoattack"))
    older = {**ladder.attack.params, "batch_size": 128}
    assert planned_cell({**recorded(ladder, params=older), "id": "old"}, by_work(cells)).attack == ladder.attack
    other = {**small.attack.params, "batch_size": 32}
    assert planned_cell(recorded(small, params=other), by_work(cells)) is None
