"""Suites of code that no package brings: run, planned and verified by the command line."""

import io
import json
import shutil
import sys
import zipfile
from hashlib import sha256

import pytest
from own_files import _clear
from parts import ANY, refused, some
from small_runs import content, outcome, rbench, verify

from rbench import own_code
from rbench.process_state import NOTES
from rbench.results.store import RunFolder
from rbench.running.ray_workers import RayActor
from rbench.testing import assert_robust_accuracy

CODE = '''
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from rbench.datasets.types import Dataset
from rbench.threat.attack import IterativeAttack
from rbench.threat.ball import Ball, per_sample
from tones import darker

Path("ran").touch()
NORMS = ("Linf",)


class Net(nn.Module):
    """Three linear logits."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 16, generator=torch.Generator().manual_seed(0)))

    def forward(self, x):
        return x.flatten(1) @ self.weight.T


class Dim(nn.Module):
    """Darker images."""

    stochastic = False

    def __init__(self, *, by: float = 0.9):
        super().__init__()
        self.by = by

    def forward(self, x):
        return darker(x, self.by)


def few():
    """Eight grey images."""
    x = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.25
    return Dataset(Net()(x).argmax(1).numpy(), lambda ids: x.numpy()[ids], provenance={"source": "few"})


class State(NamedTuple):
    x: torch.Tensor
    origin: torch.Tensor
    ball: Ball


def step(*, steps: int = 2) -> IterativeAttack:
    """Sign steps from the clean image."""

    def init(x, y, ball, noise):
        return State(x, x, ball)

    def update(state, answer):
        moved = state.x + per_sample(state.ball.radii / steps, state.x) * answer.gradient.sign()
        return state._replace(x=state.ball.project(moved, state.origin))

    return IterativeAttack(init, update, steps=steps, norms=NORMS)
'''
TONES = "def darker(x, by):\n    return x * by\n"
SUITE = """\
suite: mine
dataset: python:lab/few.py:few
threat: {norm: Linf, eps: 0.05}
backbones: [python:lab/few.py:Net]
purifiers: [identity, {name: python:lab/few.py:Dim, by: 0.8}]
attacks: [python:lab/few.py:step]
"""


@pytest.fixture
def suite(own):
    """A suite whose every component is in two files of the user."""
    own.write("lab/few.py", CODE)
    own.write("lab/tones.py", TONES)
    own.write("mine.yaml", SUITE)
    NOTES.forget()
    return own


@pytest.fixture
def made(suite, capsys):
    """Its run folder."""
    assert rbench("run", "mine.yaml", "--trust", "--out", "run") == 0
    capsys.readouterr()
    (suite.folder / "ran").unlink()
    _as_new()
    return suite


def _as_new():
    """Trusts nothing, as a process that has just begun."""
    own_code.known().trusted.clear()


def test_a_plan_reads_it_and_says_that_it_needs_trust(suite, capsys):
    assert rbench("plan", "mine.yaml") == 0
    assert "only with --trust: lab/few.py:few," in " ".join(capsys.readouterr().out.split())
    assert rbench("plan", "mine.yaml", "--json") == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["trust"] == [f"lab/few.py:{name}" for name in ("few", "Net", "step", "Dim")]
    assert {cell["purifier"] for cell in planned["cells"]} == {"identity", "Dim"}
    assert rbench("show", "purifier", "python:lab/few.py:Dim") == 0
    assert "only with --trust" in " ".join(capsys.readouterr().out.split())
    assert not suite.ran


class Terminal(io.StringIO):
    """A terminal at which somebody types."""

    def isatty(self):
        return True


@pytest.mark.parametrize("typed", [None, "", "n\n", "maybe\n"])
def test_nothing_runs_that_nobody_trusts_and_a_pipe_trusts_nothing(suite, monkeypatch, capsys, typed):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\ny\n") if typed is None else Terminal(typed))
    if typed is not None:
        monkeypatch.setattr("sys.stderr", Terminal())
    assert rbench("run", "mine.yaml", "--out", "run", "--json") == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["place"] == "mine.yaml"
    assert "lab/few.py:few, lab/few.py:Net, lab/few.py:Dim, lab/few.py:step" in error["problem"]
    assert "--trust" in error["remedy"]
    assert not suite.ran
    assert not (suite.folder / "run").exists()


def test_a_gate_in_a_test_runs_it_only_where_its_author_says_so(suite, rbench_check):
    gate = {"suite": "mine.yaml", "row": "Dim", "at_least": 0.0, "out": "run"}
    with refused(component=ANY, problem=ANY, remedy=some("trust=True")):
        assert_robust_accuracy(**gate)
    with refused(component=ANY, problem=ANY, remedy=some("trust=True")):
        rbench_check("purifier", "python:lab/few.py:Dim", by=0.8)
    assert not suite.ran
    assert_robust_accuracy(**gate, trust=True)
    _as_new()
    assert rbench_check("purifier", "python:lab/few.py:Dim", by=0.8, rbench_trust=True).failed == ()


def test_somebody_at_a_terminal_is_asked_once(suite, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    monkeypatch.setattr("sys.stderr", Terminal())
    assert rbench("run", "mine.yaml", "--out", "run") == 0
    assert suite.ran


def test_a_run_has_every_kind_in_it_and_no_path_of_this_machine(made, tmp_path):
    records = [json.loads(data) for name, data in content(made.folder / "run").items() if name.startswith("records/")]
    assert [record["status"] for record in records] == ["done", "done"]
    assert all(record["backbone"]["name"] == "python:few.py:Net" for record in records)
    assert records[0]["cell"]["attack"]["version"].startswith("few.py+")
    assert records[0]["provenance"]["distributions"]["few.py"] == "own code"
    told = {name for name, data in content(made.folder / "run").items() if str(tmp_path).encode() in data}
    assert told == set()


def test_a_change_of_a_module_beside_it_makes_results_stale(made, capsys):
    assert rbench("run", "mine.yaml", "--trust", "--out", "run") == 0
    assert "nothing to do" in capsys.readouterr().err
    made.write("lab/tones.py", TONES.replace("x * by", "x * by + 0"))
    assert rbench("plan", "mine.yaml", "--json") == 0
    planned = {cell["id"] for cell in json.loads(capsys.readouterr().out)["cells"]}
    assert planned.isdisjoint(path.stem for path in RunFolder(made.folder / "run").record_paths())


def test_verifying_says_which_code_it_would_run_and_runs_it_only_if_told(made, capsys):
    assert rbench("verify", "run") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: run/suite.yaml: ")
    assert "lab/few.py:few" in error
    assert "--offline" in error
    assert len(error.splitlines()) == 1
    assert rbench("verify", "run", "--offline") == 0
    assert rbench("report", "run") == 0
    assert rbench("compare", "run") in (0, 2)
    assert not made.ran
    code, found, _ = verify(made.folder / "run", capsys, "--trust")
    assert code == 0
    assert all(cell["evidence"] for cell in found["cells"])


def test_code_that_results_bring_is_never_run(made, capsys):
    made.write("run/evil.py", "from pathlib import Path\nPath('ran').touch()\nclass Dim: ...\n")
    path = made.folder / "run" / "suite.yaml"
    path.write_text(path.read_text().replace("python:lab/few.py:Dim", "python:run/evil.py:Dim"))
    for options in (("--trust",), (), ("--offline",)):
        rbench("verify", "run", *options)
    assert "lies in a folder of results, whose code is never run" in capsys.readouterr().err
    assert rbench("run", "run/suite.yaml", "--out", "other", "--trust") == 2
    assert not made.ran


def test_a_bundle_has_no_code_and_says_which_files_it_needs(made, tmp_path, monkeypatch, capsys):
    bundle, reviewer = tmp_path / "b.zip", tmp_path / "reviewer"
    assert rbench("bundle", "run", "--out", bundle) == 2
    assert rbench("bundle", "run", "--out", bundle, "--trust") == 0
    with zipfile.ZipFile(bundle) as archive:
        assert not [name for name in archive.namelist() if ".py" in name]
        hashes = json.loads(archive.read("manifest.json"))["code"]
    assert hashes == {
        f"{name}.py": sha256(text.encode()).hexdigest() for name, text in (("few", CODE), ("tones", TONES))
    }
    shutil.move(made.folder / "lab", tmp_path / "lab")
    reviewer.mkdir()
    monkeypatch.chdir(reviewer)
    for name in ("few.py", "tones.py"):
        _elsewhere()
        code, found, _ = verify(bundle, capsys, "--trust")
        assert code == 3
        assert f"needs {name} (sha256 {hashes[name]})" in found["error"]["problem"]
        shutil.copy(tmp_path / "lab" / name, reviewer)
    _elsewhere()
    code, found, _ = verify(bundle, capsys)
    assert (code, (reviewer / "ran").exists()) == (2, False)
    assert f"few.py (sha256 {hashes['few.py']})" in found["error"]["remedy"]
    code, found, _ = verify(bundle, capsys, "--trust")
    assert code == 0, found


def _elsewhere():
    """As a process of another folder, which knows nothing of this one's code."""
    for name in own_code.loaded():
        del sys.modules[name]
    _clear()


def test_worker_processes_find_and_trust_the_same(made):
    assert rbench("run", "mine.yaml", "--trust", "--out", "two", "--workers", 1) == 0
    assert outcome(made.folder / "two") == outcome(made.folder / "run")


def test_an_actor_on_a_node_finds_and_trusts_the_same(made, capsys):
    from rbench.registry.trust import let_run, own_code_in
    from rbench.running.executors import Terms
    from rbench.running.tasks import Check, Checked
    from rbench.suite.load import load_suite
    from rbench.suite.plan import plan

    told = own_code.Known()
    cells = plan(load_suite("mine.yaml")).cells
    assert isinstance(RayActor("cpu", Terms("none", 8, 1), ".", told).do(Check(cells), None), Exception)
    let_run(own_code_in([f"python:lab/few.py:{name}" for name in ("few", "Net", "Dim", "step")]))
    told = own_code.Known(trusted=dict(own_code.known().trusted))
    own_code.forget()
    answer = RayActor("cpu", Terms("none", 8, 1), str(made.folder), told).do(Check(cells), None)
    assert isinstance(answer.result, Checked)
    assert answer.result.problems == ()


def test_what_changes_while_a_run_goes_on_ends_it(suite, capsys):
    rewrite = "Path('lab/few.py').write_text(Path('lab/few.py').read_text() + 'X = 1\\n')"
    text = CODE.replace('"""Eight grey images."""', rewrite)
    suite.write("lab/few.py", text)
    assert rbench("run", "mine.yaml", "--trust", "--out", "run") == 2
    assert "has changed since it was trusted" in capsys.readouterr().err
