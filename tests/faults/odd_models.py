"""Tiny models that misbehave, judged directly or in a run of plug-ins of eight small pictures."""

from types import SimpleNamespace

import torch
from small_models import Says
from torch import nn

import rbench
from rbench.errors import InputError
from rbench.process_state import NOTES
from rbench.results.row import _misled
from rbench.results.store import RunFolder
from rbench.running.runner import run
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

CLASSES = 5


def net(classes=CLASSES, seed=0):
    """A small network on images of 6 x 6."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Linear(16, classes)).eval()


def images(n=8):
    """8-bit images, and the classes that the network gives them."""
    x = torch.randint(0, 256, (n, 1, 6, 6), generator=torch.Generator().manual_seed(0)) / 255
    return x, net()(x).argmax(1)


def judged(purifier=None, backbone=None, *, labels=None, n=8, **options):
    """The evaluation of a defended model under a small attack."""
    x, y = images(n)
    asked = {"attack": "pgd", "eps": 0.1, "draws": 4, "select_draws": 8, **options}
    asked |= {"steps": 3} if asked["attack"] == "pgd" and "steps" not in options else {}
    return rbench.evaluate(backbone or net(), x, y if labels is None else labels, purifier=purifier, **asked)


def outputs(function):
    """The network with a function on its logits."""
    return nn.Sequential(net(), Says(function))


def provisional(found):
    """Whether a row of this cell alone ranks below all others."""
    record = SimpleNamespace(audit=found.audit, flags=found.flags, attack=SimpleNamespace(label="pgd"))
    return _misled(record) is not None


def off_grid(x):
    """[B, 1, 1, 1] which images no 8-bit file holds."""
    levels = x.detach() * 255
    return ((levels - levels.round()).abs() > 1e-3).flatten(1).any(1).view(-1, 1, 1, 1)


PARTS = '''
"""A data set, a backbone and purifiers, some of which misbehave."""
import os, signal, time
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import nn


def dots(*, channels: int = 1, size: int = 6):
    """Eight pictures of three classes."""
    from rbench.datasets.types import Dataset

    x = np.random.default_rng(0).integers(0, 256, (8, channels, size, size)).astype(np.float32) / np.float32(255)
    return Dataset(np.arange(8) % 3, lambda ids: x[ids])


def linear(*, classes: int = 3, channels: int = 1, spoilt: str = ""):
    """A linear classifier, with a line of code on what it returns."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Flatten(), nn.Linear(36 * channels, classes))
    return nn.Sequential(layers, Does(spoilt)) if spoilt else layers


class Does(nn.Module):
    """Gives images back, or what a line of code says about them.

    Args:
        line: code that sees `x`, the number of the call, and all that was ever seen by this module of Python.
    """

    stochastic = False

    def __init__(self, line: str = "x"):
        super().__init__()
        self.line = line

    def forward(self, x):
        return eval(self.line, globals(), {"x": x, "self": self})


class Sure(Does):
    """Says that it draws."""

    stochastic = True


class Clings(Does):
    """Holds on to the backbone that it is shown."""

    def attach(self, backbone):
        self.held = [backbone]


def ends(*, how: Literal["exit", "generator"] = "exit"):
    """An attack that would end the process."""
    from rbench.threat.attack import IterativeAttack

    class State(NamedTuple):
        x: torch.Tensor

    def update(state, answer):
        raise SystemExit(0) if how == "exit" else GeneratorExit("gone")

    return IterativeAttack(lambda x, y, ball, noise: State(x), update, steps=2, norms=("Linf",))


NORMS = ("Linf",)
SHORT = {
    "CUDA": torch.OutOfMemoryError("CUDA out of memory"),
    "bad_alloc": MemoryError("std::bad_alloc"),
    "CPU": RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory: you tried"),
}
SEEN = []


def seen(x):
    SEEN.append(len(x))
    return len(SEEN)


def fails(error):
    raise error


def once(x, error):
    """Raises when it is first asked for a gradient outside an audit."""
    if x.requires_grad and len(x) == 8 and "raised" not in SEEN:
        SEEN.append("raised")
        raise error
    return x
'''
POINTS = {
    "rbench.datasets": {"dots": "odd_parts:dots"},
    "rbench.backbones": {"linear": "odd_parts:linear"},
    "rbench.purifiers": {"does": "odd_parts:Does", "sure": "odd_parts:Sure", "clings": "odd_parts:Clings"},
    "rbench.attacks": {"ends": "odd_parts:ends"},
}
SUITE = """\
suite: odd
dataset: {dataset}
threat: {{norm: Linf, eps: 0.1}}
backbones: [{backbones}]
purifiers: [{purifiers}]
attacks: [{attacks}]
"""


def does(name, line, kind="does"):
    """A purifier that is a line of code, as an entry of a suite."""
    return f'{{name: {kind}, as: {name}, line: "{line}"}}'


def suite_of(plugins, folder, *, dataset="{name: dots}", backbones="linear", purifiers="identity", attacks="fgsm"):
    """A suite on the parts above; its path."""
    plugins.add("odd", {"odd_parts": PARTS}, POINTS)
    path = folder / "s.yaml"
    path.write_text(
        SUITE.format(dataset=dataset, backbones=backbones, purifiers=purifiers, attacks=attacks), encoding="utf-8"
    )
    return path


def ran(plugins, folder, batch_size=16, workers=0, timeout=None, **suite):
    """Runs a suite on the parts above; records by purifier, and the notes. An error of the suite is the third, and nothing was run then."""
    NOTES.forget()
    planned, notes = plan(load_suite(suite_of(plugins, folder, **suite))), []
    given = {"batch_size": batch_size, "workers": workers, "timeout": timeout, "on_note": notes.append}
    try:
        records = run(planned.cells, RunFolder.create(folder / "run"), **given)
    except InputError as error:
        assert not list((folder / "run" / "records").glob("*"))
        return {}, notes, error
    return {record.purifier.label: record for record in records}, notes, None
