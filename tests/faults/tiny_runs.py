"""Runs of the whole command on eight images of 4 x 4 pixels and three linear logits, with plug-ins of the test beside them."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from fake_plugins import Plugins

from rbench.cli.main import main
from rbench.process_state import NOTES
from rbench.results.record import Record, read_record
from rbench.results.runs import read_runs
from rbench.results.table import table

PARTS = '''
"""Eight images and a classifier that is right on all of them."""
import numpy as np
import torch
from torch import nn

from rbench.datasets.types import Dataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 16, generator=torch.Generator().manual_seed(0)))

    def forward(self, x):
        return x.flatten(1) @ self.weight.T


def few():
    """Eight grey images."""
    x = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.25
    y = Net()(x).argmax(1).numpy()
    return Dataset(y, lambda ids: x.numpy()[ids], provenance={"source": "few"})


def net():
    """Three linear logits."""
    return Net()
'''
POINTS = {"rbench.datasets": {"few": "few_parts:few"}, "rbench.backbones": {"net": "few_parts:net"}}


def run(*arguments: str | Path) -> int:
    """The command in this process; the exit code."""
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return int(done.value.code or 0)


class Tiny:
    """A suite on these, plug-ins beside it, and its run folder."""

    def __init__(self, folder: Path, plugins: Plugins) -> None:
        self.folder, self.root, self.plugins = folder, folder / "run", plugins
        plugins.add("few-parts", {"few_parts": PARTS}, POINTS)

    def add(self, distribution: str, modules: Mapping[str, str], points: Mapping[str, Mapping[str, str]]) -> None:
        """Installs a plug-in."""
        self.plugins.add(distribution, modules, points)

    def suite(self, **changes: str) -> Path:
        """Writes the suite; each keyword is a line of YAML in the place of the one of that name."""
        lines = {
            "suite": "tiny",
            "dataset": "few",
            "threat": "{norm: Linf, eps: 0.05}",
            "backbones": "[net]",
            "purifiers": "[identity]",
            "attacks": "[fgsm]",
        }
        path = self.folder / "tiny.yaml"
        path.write_text("".join(f"{name}: {text}\n" for name, text in (lines | changes).items()))
        return path

    def run(self, *options: str, **changes: str) -> int:
        """Runs it; the exit code."""
        return run("run", self.suite(**changes), "--out", self.root, *options)

    def records(self) -> dict[str, Record]:
        """The records by the labels of their purifier and attack."""
        found = [read_record(path) for path in sorted((self.root / "records").glob("*.json"))]
        return {f"{one.purifier.label}/{one.attack.label}": one for one in found}

    def flags(self) -> set[str]:
        """The names of the flags of all rows."""
        return {flag.name for row in table(read_runs([self.root])).doubts for flag in row}


@pytest.fixture
def tiny(plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """Nothing has been told in this process, and the current folder is that of the test."""
    monkeypatch.chdir(tmp_path)
    NOTES.forget()
    return Tiny(tmp_path, plugins)
