"""`precision: bf16-propose`: attacks ask in bfloat16, the judge does not, and whoever reads a figure is told."""

import pytest
import yaml
from parts import refused, some
from small_runs import rbench, records

from rbench.results.runs import read_runs
from rbench.results.table import table
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

SUITE = """\
suite: half
dataset: {name: fashion-mnist-mini, samples: 12}
threat: {norm: Linf, eps: 0.02}
backbones: [bundled:fashion-cnn]
purifiers: [identity]
attacks:
  - {name: pgd, steps: 4}
  - {name: pgd, steps: 4, as: half, precision: bf16-propose}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("half")
    (folder / "suite.yaml").write_text(SUITE)
    assert rbench("run", folder / "suite.yaml", "--out", folder / "run") == 0
    return folder / "run"


def test_the_record_and_the_tables_say_so(run):
    half, whole = (records(run)[f"identity/{name}"] for name in ("half", "pgd"))
    assert "bfloat16" in half.audit["proposing"]
    assert "bfloat16" not in whole.audit["proposing"]
    assert half.cell["attack"]["precision"] == "bf16-propose"
    assert "precision" not in whole.cell["attack"], "a cell without it has the id that it had"
    (row,) = table(read_runs([run])).cells
    assert [cell.label("attack") for cell in row] == ["pgd", "half (bf16)"]


def test_judged_is_in_float32(run):
    half, whole = (records(run)[f"identity/{name}"] for name in ("half", "pgd"))
    assert half.summary.standard_accuracy == whole.summary.standard_accuracy
    assert half.summary.robust_accuracy.value <= half.summary.standard_accuracy.value
    assert rbench("verify", run, "--audit") == 0


def test_the_resolved_suite_asks_for_it_again(run):
    attacks = yaml.safe_load((run / "suite.yaml").read_text())["attacks"]
    assert [attack.get("precision") for attack in attacks] == [None, "bf16-propose"]
    assert {cell.id for cell in plan(load_suite(run / "suite.yaml")).cells} == {one.id for one in records(run).values()}


@pytest.mark.parametrize("attack", ["autoattack, engine: reference", "'torchattacks:MIFGSM'"])
def test_third_party_code_is_run_as_by_hand(tmp_path, attack):
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.replace("pgd, steps: 4, as: half", attack))
    with refused(place=some("attacks[1].precision"), found=some("bf16-propose"), remedy="Leave it out."):
        plan(load_suite(path))


def test_autoattack_by_our_own_attacks_takes_it(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.replace("pgd, steps: 4, as: half", "autoattack"))
    assert plan(load_suite(path)).cells[1].precision == "bf16-propose"
