"""On a GPU everything is computed in full float32, by kernels that sum in the same order every time."""

import pytest
import torch
from small_models import Says
from torch import nn

import rbench
from rbench.cli.main import main
from rbench.engine.precision import full_float32

EXACT = '''
import torch
from torch import nn


class Exact(nn.Module):
    """Refuses to answer where a GPU would round, or sum in any order."""

    stochastic = False

    def forward(self, x):
        cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
        if cudnn.allow_tf32 or matmul.allow_tf32 or cudnn.benchmark or not cudnn.deterministic:
            raise RuntimeError("would be rounded")
        return x
'''
SUITE = """\
suite: exact
dataset: {name: fashion-mnist-mini, samples: 4}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
purifiers: ["python:./exact.py:Exact"]
attacks: [fgsm]
"""
SETTINGS = (
    (torch.backends.cudnn, "allow_tf32"),
    (torch.backends.cudnn, "deterministic"),
    (torch.backends.cudnn, "benchmark"),
    (torch.backends.cuda.matmul, "allow_tf32"),
)


def ended(*words):
    """The exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main([*words])
    return end.value.code


def settings():
    return [getattr(owner, name) for owner, name in SETTINGS]


@pytest.fixture
def rounding():
    """A caller's process that rounds, and is afterwards as it was."""
    before = settings()
    for (owner, name), value in zip(SETTINGS, (True, False, True, True), strict=True):
        setattr(owner, name, value)
    try:
        yield settings()
    finally:
        for (owner, name), value in zip(SETTINGS, before, strict=True):
            setattr(owner, name, value)


def test_a_block_is_exact_and_puts_back_what_was(rounding):
    with full_float32():
        assert settings() == [False, True, False, False]
    assert settings() == rounding == [True, False, True, True]


def test_evaluate_is_exact_and_leaves_the_caller_as_it_was(rounding):
    seen = []
    net = nn.Sequential(Says(lambda x: seen.append(settings()) or x), nn.Flatten(), nn.Linear(16, 3))
    rbench.evaluate(net, torch.rand(4, 1, 4, 4), torch.zeros(4, dtype=torch.int64), attack="fgsm", eps=0.1)
    assert all(found == [False, True, False, False] for found in seen)
    assert seen
    assert settings() == rounding


@pytest.mark.parametrize("workers", ["0", "1"])
def test_run_and_verify_are_exact_wherever_they_compute(workers, rounding, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exact.py").write_text(EXACT)
    (tmp_path / "exact.yaml").write_text(SUITE)
    assert ended("run", "exact.yaml", "--out", "out", "--workers", workers, "--trust") == 0, capsys.readouterr().err
    assert ended("verify", "out", "--workers", workers, "--trust") == 0, capsys.readouterr().err
    assert settings() == rounding


def test_the_probe_of_a_plan_is_exact(rounding, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exact.py").write_text(EXACT)
    (tmp_path / "exact.yaml").write_text(SUITE)
    assert ended("plan", "exact.yaml", "--probe", "--trust") == 0
    assert "Not in it" not in capsys.readouterr().out
    assert settings() == rounding


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_logits_there_hang_neither_on_the_batch_nor_on_the_device(rounding, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    purifiers = 'purifiers: [{name: cropd, weights: "bundled:fashion-cropd"}, median]'
    suite = SUITE.replace('purifiers: ["python:./exact.py:Exact"]', purifiers).replace("samples: 4", "samples: 128")
    suite = suite.replace(
        "[fgsm]", "[{name: pgd, steps: 40}, {name: autoattack, version: custom, attacks: [apgd-ce, apgd-t]}]"
    )
    (tmp_path / "exact.yaml").write_text(suite)
    assert ended("run", "exact.yaml", "--out", "out", "--workers", "0", "--device", "cuda") == 0
    found = capsys.readouterr()
    assert "batch-dependent" not in found.out + found.err
    for device in ("cuda", "cpu"):
        assert ended("verify", "out", "--workers", "0", "--device", device) == 0, capsys.readouterr()
