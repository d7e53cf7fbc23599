"""A finished cell runs again when what it was made of has changed, also where no file said so."""

import signal
import sys

import pytest
from fake_plugins import DIM, DIM_PARTS, forget
from small_runs import rbench

from rbench.results.store import RunFolder
from rbench.running import worker

SUITE = """\
suite: stale
dataset: {name: fashion-mnist-mini, samples: 16}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
purifiers:
  - {name: dim, weights: dim.txt}
attacks:
  - {name: fgsm}
"""


@pytest.fixture
def run(plugins, tmp_path, monkeypatch, capsys):
    """Runs the suite in a folder of its own; gives its exit code and what it said."""
    plugins.add("dim", {"dim": DIM, "dim_parts": DIM_PARTS}, {"rbench.purifiers": {"dim": "dim:Dim"}})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SUITE)
    (tmp_path / "dim.txt").write_text("1.0")

    def ran():
        for name in ("dim", "dim_parts"):
            sys.modules.pop(name, None)
        code = rbench("run", "s.yaml", "--out", "run", "--batch-size", "4")
        return code, capsys.readouterr().err

    return ran


def accuracy(root):
    """Standard accuracy of the purifier under test, by today's plan."""
    folder = RunFolder(root)
    (cell,) = [cell for cell in folder.read_cells() if cell["labels"]["purifier"] == "dim"]
    return folder.read_record(cell["id"]).summary.standard_accuracy.value


def test_a_finished_cell_whose_weights_came_by_a_text_parameter_runs_again_when_they_change(run, tmp_path):
    assert run()[0] == 0
    bright = accuracy(tmp_path / "run")
    assert run() == (0, "nothing to do: all 2 cells are in run\n")
    (tmp_path / "dim.txt").write_text("0.0")
    code, err = run()
    assert code == 0
    assert "dim/fgsm): purifier or backbone have other weights than when it ran; it is run again" in err
    assert accuracy(tmp_path / "run") < bright, "all images are black now"
    assert run() == (0, "nothing to do: all 2 cells are in run\n")


def test_a_second_module_that_changes_makes_the_cell_another_one(run, tmp_path, plugins):
    assert run()[0] == 0
    bright = accuracy(tmp_path / "run")
    (plugins.folder / "dim_parts.py").write_text(DIM_PARTS.replace("x * scale", "0 * x * scale"))
    forget()
    code, err = run()
    assert code == 0
    assert "[1/1]" in err, "the undefended cell stays"
    assert accuracy(tmp_path / "run") < bright


def test_samples_that_were_attacked_with_other_weights_are_attacked_again(run, tmp_path, monkeypatch):
    real, spans = worker.run_span, []

    def dying(prepared, ids, on_done, settled):
        if prepared.setup.model.name == "dim":
            if spans:
                signal.raise_signal(signal.SIGINT)
            spans.append(len(ids))
        return real(prepared, ids, on_done, settled)

    with monkeypatch.context() as patch:
        patch.setattr(worker, "run_span", dying)
        assert run()[0] == 130
    assert spans == [8]
    (tmp_path / "dim.txt").write_text("0.5")
    code, err = run()
    assert code == 0
    assert "samples 0 to 7 were attacked with other weights; done again" in err
