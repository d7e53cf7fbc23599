"""Rows 40 to 42 of the fault table: models that are left in training, that change or that compute elsewhere."""

import pytest
import torch
from small_runs import rbench
from torch import nn

from rbench import evaluate
from rbench.errors import CellFailed
from rbench.threat.attack import ExternalAttack


def judged(backbone, **more):
    torch.manual_seed(1)
    images, labels = torch.rand(6, 1, 6, 6), torch.arange(6) % 3
    return evaluate(backbone, images, labels, attack="fgsm", eps=0.05, **more), images, labels


def test_040_a_model_left_in_train_mode_is_judged_in_eval_mode():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 3))
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found, images, labels = judged(network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    with torch.no_grad():
        right = (network.eval()(images).argmax(1) == labels).float().mean()
    assert found.standard_accuracy.value == pytest.approx(float(right))


class Training(nn.Module):
    """Batch norm that never leaves train mode, and counts."""

    def __init__(self):
        super().__init__()
        self.norm, self.last = nn.BatchNorm2d(1), nn.Linear(36, 3)

    def forward(self, x):
        norm = self.norm
        return self.last(nn.functional.batch_norm(x, norm.running_mean, norm.running_var, training=True).flatten(1))


class Drifts(nn.Module):
    """Moves its own parameter or buffer by a little that no answer shows."""

    def __init__(self, kind):
        super().__init__()
        self.last, self.kind = nn.Linear(36, 3), kind
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        with torch.no_grad():
            (self.last.weight if self.kind == "parameter" else self.calls).add_(1e-9 if self.kind == "parameter" else 1)
        return self.last(x.flatten(1))


@pytest.mark.parametrize("backbone", [Training, lambda: Drifts("buffer"), lambda: Drifts("parameter")])
def test_040_041_a_backbone_that_changes_while_it_is_asked_fails_the_cell(backbone):
    with pytest.raises(CellFailed, match=r"changes its parameters or buffers|changed|keeps-state|keeps state"):
        judged(backbone())


class Shows(nn.Module):
    """A purifier through which the attack reaches the classifier."""

    def __init__(self):
        super().__init__()
        self.reached = []

    def attach(self, backbone):
        self.reached.append(backbone)

    def forward(self, x):
        return x.clone()


def test_041_an_attack_that_changes_the_backbone_fails_the_cell():
    shows = Shows()

    def attack(model, batch, ball, classes, seed):
        with torch.no_grad():
            next(shows.reached[0].parameters()).add_(1)
        return batch.x

    given = {"attack": ExternalAttack(attack, batch_size=6, norms=("Linf",)), "purifier": shows}
    torch.manual_seed(1)
    images, labels = torch.rand(6, 1, 6, 6), torch.arange(6) % 3
    with pytest.raises(CellFailed, match="changed during the attack"):
        evaluate(nn.Sequential(nn.Flatten(), nn.Linear(36, 3)), images, labels, eps=0.05, **given)


ELSEWHERE = '''
import torch

class Part(torch.nn.Module):
    """Holds a tensor of another device or type, which `.to()` does not move."""
    def __init__(self, then, **of):
        super().__init__()
        self.then, self.kept = then, [torch.ones(1, 1, 1, 1, **of)]
    def forward(self, x):
        if self.kept[0].is_meta:  # torch makes a convolution of both devices, of whatever lies in the memory
            return self.then(x + self.kept[0])
        return self.then(torch.nn.functional.conv2d(x, self.kept[0]))

def flat():
    """A linear classifier."""
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))

def on_meta():
    """Of another device."""
    return Part(flat(), device="meta")

def doubled():
    """Of another type."""
    return Part(flat(), dtype=torch.float64)

def pure_meta():
    """Of another device."""
    return Part(torch.nn.Identity(), device="meta")

def pure_double():
    """Of another type."""
    return Part(torch.nn.Identity(), dtype=torch.float64)
'''
POINTS = {
    "rbench.backbones": {"flat": "elsewhere:flat", "on-meta": "elsewhere:on_meta", "doubled": "elsewhere:doubled"},
    "rbench.purifiers": {"pure-meta": "elsewhere:pure_meta", "pure-double": "elsewhere:pure_double"},
}


@pytest.mark.parametrize(
    ("backbone", "purifier", "code", "named"),
    [
        ("on-meta", "identity", 2, "backbone 'on-meta'"),
        ("doubled", "identity", 2, "backbone 'doubled'"),
        ("flat", "pure-meta", 1, "purifier 'pure-meta'"),
        ("flat", "pure-double", 1, "purifier 'pure-double'"),
    ],
)
def test_042_another_device_or_type_names_the_module(plugins, tmp_path, capsys, backbone, purifier, code, named):
    plugins.add("elsewhere", {"elsewhere": ELSEWHERE}, POINTS)
    suite = tmp_path / "s.yaml"
    suite.write_text(
        "suite: e\ndataset: {name: fashion-mnist-mini, samples: 2}\nthreat: {norm: Linf, eps: 0.1}\n"
        f"backbones: [{backbone}]\npurifiers: [{purifier}]\nattacks: [{{name: fgsm, purifiers: [{purifier}]}}]\n"
    )
    assert rbench("run", suite, "--out", tmp_path / "run", "--device", "cpu") == code
    err = capsys.readouterr().err
    assert named in err
    assert "Traceback" not in err
