"""`stand_in` of an attack and `noise: fixed` of a purifier, from the file to the cell and back."""

import re

import pytest
import yaml
from parts import refused

from rbench.suite.load import load_suite
from rbench.suite.plan import plan

SUITE = """
suite: paths
dataset: {name: fashion-mnist-mini, samples: 8}
threat: {norm: Linf, eps: 0.1}
backbones: ["bundled:fashion-cnn"]
purifiers:
  - {name: gaussian-noise, sigma: 0.1}
  - {name: gaussian-noise, sigma: 0.1, noise: fixed}
attacks:
  - {name: pgd, as: around, gradient: bpda}
  - {name: pgd, as: around jpeg, gradient: bpda, stand_in: {name: gaussian-blur, sigma: 0.7}}
  - {name: pgd, as: around nothing, gradient: bpda, stand_in: identity}
"""


def planned(tmp_path, text=SUITE):
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    return plan(load_suite(path))


def test_a_fixed_and_a_fresh_purifier_are_two_rows_and_the_label_says_which(tmp_path):
    labels = {cell.purifier.label for cell in planned(tmp_path).cells}
    assert labels == {"identity", "gaussian-noise", "gaussian-noise (fixed noise)"}
    fixed = [cell for cell in planned(tmp_path).cells if "fixed" in cell.purifier.label]
    assert all(cell.purifier.document()["params"]["noise"] == "fixed" for cell in fixed)


def test_a_stand_in_is_part_of_the_cell_only_where_there_is_one(tmp_path):
    cells = {cell.attack.label: cell for cell in planned(tmp_path).cells}
    assert "stand_in" not in cells["around"].document()["attack"]
    assert cells["around jpeg"].document()["attack"]["stand_in"]["params"]["sigma"] == 0.7
    assert cells["around nothing"].document()["attack"]["stand_in"]["name"] == "identity"
    assert len({cell.id for cell in cells.values()}) == 3


def test_a_resolved_suite_plans_the_same_cells(tmp_path):
    first = planned(tmp_path)
    again = planned(tmp_path, first.resolved)
    assert [cell.id for cell in again.cells] == [cell.id for cell in first.cells]
    assert yaml.safe_load(first.resolved)["attacks"][1]["stand_in"]["name"] == "gaussian-blur"


@pytest.mark.parametrize(
    ("old", "new", "place", "found"),
    [
        ("gradient: bpda, stand_in: identity", "stand_in: identity", "attacks[2].stand_in", "gradient: auto"),
        ("sigma: 0.7}", "sigmma: 0.7}", "attacks[1].stand_in.sigmma", None),
        ("noise: fixed", "noise: frozen", "purifiers[1].noise", "the text 'frozen'"),
        ("stand_in: identity", "stand_in: identitty", "attacks[2].stand_in", None),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path, old, new, place, found):
    with refused(place=re.compile(rf"suite\.yaml:\d+:\d+: {re.escape(place)}$"), found=found):
        planned(tmp_path, SUITE.replace(old, new))
