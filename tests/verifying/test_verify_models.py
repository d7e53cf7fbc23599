"""Models that cheat or fail while they are verified: plug-ins that remember, end the process, or watch what they are shown."""

import os

import pytest
import small_runs
from small_runs import rbench

MODELS = '''
"""Purifiers that misbehave, by what the test sets."""
import os
from pathlib import Path

import torch
from torch import nn

SEEN = []
"""Clean images that this process was told."""
RAISED = []
"""What forward raises, after how many calls."""


class Remembers(nn.Module):
    """Gives back the clean image that it was told of, where it is near."""

    stochastic = False

    def forward(self, x):
        if not SEEN:
            return x * 1.0
        known = torch.stack(SEEN)
        nearest = known[torch.cdist(x.detach().flatten(1), known.flatten(1)).argmin(1)]
        return nearest + (x - x.detach())


class Watches(nn.Module):
    """Writes down whether it was shown images on the grid of 8 bits, a line for each call."""

    stochastic = False

    def forward(self, x):
        if "WATCHED" in os.environ:
            off = (x.detach() * 255 - (x.detach() * 255).round()).abs().amax((1, 2, 3)) > 1e-3
            with (Path(os.environ["WATCHED"]) / str(os.getpid())).open("a") as file:
                file.write(f"{float(off.float().mean()):.2f}\\n")
        return x * 1.0


class Ends(nn.Module):
    """Fails as the environment says."""

    stochastic = False

    def forward(self, x):
        if os.environ.get("ENDS") == "exit":
            raise SystemExit(0)
        if os.environ.get("ENDS") == "error":
            raise RuntimeError("no such thing")
        if os.environ.get("ENDS", "").startswith("process "):
            first = Path(os.environ["ENDS"].removeprefix("process "))
            if not first.exists():
                first.write_text(str(os.getpid()))
            elif first.read_text() != str(os.getpid()):
                os._exit(7)
        return x * 1.0
'''
POINTS = {"remembers": "cheating:Remembers", "watches": "cheating:Watches", "ends": "cheating:Ends"}
SUITE = """\
suite: cheats
dataset: {{name: fashion-mnist-mini, samples: 12}}
threat: {{norm: Linf, eps: 0.1}}
backbones: [bundled:fashion-cnn]
purifiers: [{name}]
attacks: [{{name: pgd, steps: 3, purifiers: [{name}]}}, {{name: fgsm, purifiers: [{name}]}}]
"""


@pytest.fixture
def made(plugins, tmp_path):
    """Runs a small suite behind one of the purifiers."""
    plugins.add("cheating", {"cheating": MODELS}, {"rbench.purifiers": POINTS})

    def run(name, tell=lambda: None):
        (tmp_path / "suite.yaml").write_text(SUITE.format(name=name))
        tell()
        rbench("run", tmp_path / "suite.yaml", "--out", tmp_path / "run", "--only", f"*/{name}/*")
        return tmp_path / "run"

    return run


def verify(root, capsys, code=4, workers="0"):
    ended, found, err = small_runs.verify(root, capsys, "--survivors", "0", "--workers", workers)
    assert ended == code, found
    assert "Traceback" not in err
    return found, "\n".join(small_runs.faults(found))


def test_what_a_purifier_remembers_in_one_process_it_does_not_know_in_another(made, capsys):
    def tell():
        import cheating
        import torch

        from rbench.registry import load

        data = load("dataset", "fashion-mnist-mini")
        cheating.SEEN += list(torch.from_numpy(data.read(data.ids)).float())

    root = made("remembers", tell)
    said = verify(root, capsys)[1]
    assert "robust: judged again, the defended model answers otherwise" in said


def test_attacked_images_are_shown_before_clean_ones_in_a_process_that_has_shown_none(
    made, capsys, tmp_path, monkeypatch
):
    root = made("watches")
    (tmp_path / "watched").mkdir()
    monkeypatch.setenv("WATCHED", str(tmp_path / "watched"))
    verify(root, capsys, code=0)
    others = [path for path in (tmp_path / "watched").iterdir() if path.name != str(os.getpid())]
    assert len(others) == 1
    shown = [float(line) for line in others[0].read_text().split()]
    assert shown[0] > 0
    assert 0 in shown
    assert shown[-1] == 0 or shown.index(0) > 0


@pytest.mark.parametrize(
    ("how", "said"), [("exit", "ends on bundled:fashion-cnn: SystemExit: 0"), ("error", "RuntimeError: no such thing")]
)
def test_whatever_a_model_raises_is_a_failed_verification_with_its_name(made, capsys, monkeypatch, how, said):
    root = made("ends")
    monkeypatch.setenv("ENDS", how)
    assert said in verify(root, capsys)[1]


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_model_that_ends_the_process_that_judges_it_is_a_failed_verification(
    made, capsys, monkeypatch, tmp_path, workers
):
    root = made("ends")
    monkeypatch.setenv("ENDS", f"process {tmp_path / 'first'}")  # that one measures the model, another one judges it
    said = verify(root, capsys, workers=workers)[1]
    assert "ends on bundled:fashion-cnn: the fresh process that judged it ended without an answer (exit code 7)" in said
