"""`protocol.convergence` from the suite to the record."""

import pytest
import torch
import yaml
from small_runs import rbench, records

from rbench.results.runs import read_runs
from rbench.results.table import table
from rbench.running.components import Components
from rbench.suite.budgets import curve
from rbench.suite.load import load_suite
from rbench.suite.plan import gradient_passes, plan

SUITE = """\
suite: evidence
dataset: {name: fashion-mnist-mini, samples: 24}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
attacks:
  - {name: pgd, steps: 1, step_size: 0.01}
  - {name: pgd, steps: 30, as: long}
  - {name: autoattack, version: custom, attacks: [apgd-ce], batch_size: 24}
protocol: {convergence: 12}
"""


def test_the_evidence_is_in_the_record_and_not_in_the_cost(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    assert rbench("run", path, "--out", tmp_path / "out") == 0
    found = records(tmp_path / "out")
    short, long, reference = (found[f"identity/{label}"] for label in ("pgd", "long", "autoattack"))
    assert short.converged is False
    assert "not-converged" in {flag.name for flag in short.flags}
    assert long.converged is True
    assert {part.samples for part in long.convergence} == {12}
    assert [part.what for part in long.convergence][-3:] == ["steps", "restarts", "eps"]
    assert long.cost.backwards <= 24 * 30
    assert reference.convergence == ()
    assert reference.converged is None


def test_a_suite_without_it_has_the_cells_that_it_had(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    ids = [cell.id for cell in plan(load_suite(path)).cells]
    none = [cell.id for cell in plan(load_suite(path, ["protocol.convergence=0"])).cells]
    content = yaml.safe_load(SUITE)
    del content["protocol"]
    path.write_text(yaml.safe_dump(content))
    assert [cell.id for cell in plan(load_suite(path)).cells] == none
    assert set(ids).isdisjoint(none)
    assert "convergence" not in plan(load_suite(path)).cells[0].document()["protocol"]


def test_a_plan_counts_the_passes_of_the_evidence(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    assert curve(30) == [1, 2, 5, 10, 20]
    assert [gradient_passes(cell) for cell in plan(load_suite(path)).cells] == [
        24 + 12 * 8,
        24 * 30 + 12 * (1 + 2 + 5 + 10 + 20 + 8 * 30),
        None,
    ]


def test_what_an_attack_refuses_is_not_doubled(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    components = Components(torch.device("cpu"))
    remade = {cell.attack.label: components.of(cell).remake for cell in plan(load_suite(path)).cells}
    assert remade["long"]({"steps": 100_000}).steps == 100_000
    assert remade["long"]({"steps": 120_000}) is None
    assert remade["autoattack"]({"steps": 10}) is None


@pytest.mark.parametrize(
    ("images", "kept", "why", "left"),
    [
        ("auto", "all", "not judged again: pgd", False),
        ("fooled", "fooled", "not judged again: pgd", False),
        ("none", "none", "store.images is none", True),
    ],
)
def test_a_row_is_unverified_until_its_images_are_judged_again_and_without_images_for_good(
    tmp_path, images, kept, why, left
):
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    options = ("--set", f"store.images={images}", "--set", "protocol.convergence=0", "--only", "pgd", "--limit", "4")
    assert rbench("run", path, "--out", tmp_path / "out", *options) == 0
    assert records(tmp_path / "out")["identity/pgd"].images == kept
    (row,) = table(read_runs([tmp_path / "out"])).doubts
    assert [flag.detail for flag in row if flag.name == "unverified"] == [why]
    assert rbench("verify", tmp_path / "out") == 0, "what was never kept is not judged, and no forgery"
    (row,) = table(read_runs([tmp_path / "out"])).doubts
    assert ("unverified" in {flag.name for flag in row}) == left
