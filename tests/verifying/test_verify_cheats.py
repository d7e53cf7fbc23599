"""Runs of purifiers that cheat are not verified, and what kept their rows from ranking cannot be taken out of the records."""

import json

import pytest
import small_runs
from forger import Forger
from small_runs import rbench

from rbench.results.row import make_row
from rbench.results.rows import rows_of
from rbench.results.runs import read_runs

MODELS = '''
"""Purifiers that cheat."""
import torch
from torch import nn

from rbench.registry import load

EPS = 0.04


class Backward(torch.autograd.Function):
    """The identity with another gradient for some images."""

    @staticmethod
    def forward(ctx, x, where):
        ctx.where = where
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return torch.where(ctx.where, torch.randn_like(gradient) * gradient.norm(), gradient), None


class Corners(nn.Module):
    """Random gradients where many pixels lie at the ends of the ball around a stored image."""

    stochastic = False

    def __init__(self):
        super().__init__()
        data = load("dataset", "fashion-mnist-mini")
        self.known = torch.from_numpy(data.read(data.ids)).float()

    def forward(self, x):
        known = self.known.to(x)
        far = torch.cdist(x.detach().flatten(1), known.flatten(1), p=torch.inf)
        near = known[far.argmin(1)]
        low, high = (near - EPS).clamp(0, 1), (near + EPS).clamp(0, 1)
        ends = ((x.detach() - low).abs() < 1e-5) | ((x.detach() - high).abs() < 1e-5)
        ends &= (low > 0) & (high < 1)
        return Backward.apply(x, (ends.flatten(1).float().mean(1) > 0.02).view(-1, 1, 1, 1))


class Detached(nn.Module):
    """Hands on hardly any gradient of what it does to images off the grid of files, and a flipped one."""

    stochastic = False

    def forward(self, x):
        return 1.001 * x.detach() - 0.001 * x


class Stored(Corners):
    """Answers with the nearest stored image."""

    def forward(self, x):
        known = self.known.to(x)
        return known[torch.cdist(x.detach().flatten(1), known.flatten(1)).argmin(1)] + x - x.detach()
'''
NAMES = {"corners": "Corners", "detached": "Detached", "stored": "Stored"}
SUITE = """\
suite: cheats
dataset: {{name: fashion-mnist-mini, samples: 24}}
threat: {{norm: Linf, eps: 0.04}}
backbones: [bundled:fashion-cnn]
purifiers: [{name}]
attacks: [{{name: pgd, steps: 8, gradient: {path}}}]
"""


@pytest.fixture
def made(plugins, tmp_path):
    """Runs a small suite behind one of the purifiers."""
    points = {name: f"cheating_more:{cls}" for name, cls in NAMES.items()}
    plugins.add("cheating-more", {"cheating_more": MODELS}, {"rbench.purifiers": points})

    def run(name, path="exact"):
        (tmp_path / "suite.yaml").write_text(SUITE.format(name=name, path=path))
        rbench("run", tmp_path / "suite.yaml", "--out", tmp_path / "run", "--only", f"*/{name}/*")
        return tmp_path / "run"

    return run


def frame(root):
    """The flags of the row, by name."""
    (row,) = [row for cells in rows_of(read_runs([root]).cells)[0] if (row := make_row(cells)).outcome is not None]
    return {flag.name: flag for flag in row.flags}


def verify(root, capsys, *options):
    code, found, _ = small_runs.verify(root, capsys, *options)
    return code, found, "\n".join(small_runs.faults(found))


def test_a_cheat_that_hides_from_the_attack_of_its_row_is_not_verified(made, capsys):
    root = made("corners")
    assert "at attacked images" in frame(root)["provisional"].detail
    code, _, said = verify(root, capsys, "--survivors", "8")
    assert code == 4
    assert "survivors are fooled" in said
    assert not list((root / "verified").glob("*.json"))


def forged(root, change):
    forger = Forger(root, title(root))
    change(forger.record)
    forger.write()
    forger.report()


def title(root):
    (path,) = (root / "records").glob("*.json")
    record = json.loads(path.read_text())
    return f"{record['purifier']['label']}/{record['attack']['label']}"


def trusts_the_gradient(record):
    record["audit"]["slope_error"] = 0.001


def trusts_attacked_images(record):
    record["audit"]["kept_promise"] = 0.9


def leaks_nothing(record):
    record["audit"]["leaks"] = 0.0
    record["flags"] = [flag for flag in record["flags"] if flag["name"] != "leaks"]


FORGED = {
    "detached": ("bpda", trusts_the_gradient, "measured again: the gradient is wrong: slopes differ"),
    "corners": ("exact", trusts_attacked_images, "audit.kept_promise: 0.9, measured again"),
    "stored": ("bpda", leaks_nothing, "audit.leaks: 0.0, measured again 1.0"),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_keeps_a_row_from_ranking_is_measured_again(made, capsys, name):
    path, change, words = FORGED[name]
    root = made(name, path)
    assert "provisional" in frame(root)
    code, found, said = verify(root, capsys, "--survivors", "0")
    assert (code, said) == (0, ""), found
    forged(root, change)
    code, _, said = verify(root, capsys, "--survivors", "0")
    assert code == 4
    assert words in said
