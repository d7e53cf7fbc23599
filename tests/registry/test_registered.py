"""`rbench.register`: a class or function of this process by name."""

import linecache
import sys
from types import ModuleType

import pytest
import torch
from parts import refused, some
from small_runs import rbench as command

import rbench
from rbench.registry import bind, registered, registry
from rbench.signature import ParameterError
from rbench.suite.resolve import resolve_part


class Dim(torch.nn.Module):
    """Darker images."""

    stochastic = False

    def __init__(self, *, by: float = 0.9):
        super().__init__()
        self.by = by

    def forward(self, x):
        return x * self.by


def linear():
    """Two logits."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[1.0, 1, -1, -1], [-1, -1, 1, 1]]))
        network[1].bias.zero_()
    return network


IMAGES = torch.tensor([[0.9, 0.9, 0.1, 0.1], [0.1, 0.2, 0.9, 0.9], [0.8, 0.9, 0.1, 0.3]]).reshape(3, 1, 2, 2)
LABELS = [0, 1, 0]


def test_a_registered_name_is_taken_wherever_names_are(own):
    rbench.register("purifier", "mine", Dim)
    rbench.register("backbone", "linear", linear)
    component = registry("purifier").get("mine")
    assert "mine" in registry("purifier").names()
    assert (component.doc, component.facts()["stochastic"], component.needs_trust) == ("Darker images.", False, False)
    assert rbench.load("purifier", "mine", by=0.5).by == 0.5
    found = rbench.evaluate("linear", IMAGES, LABELS, purifier="mine", attack="fgsm", eps=0.01)
    assert found.standard_accuracy.value == 1.0
    part = resolve_part("purifier", "mine", {"by": 0.5})
    assert part.version == f"this process+{component.source_version}"
    with refused(ParameterError, place="qy", remedy=some("It takes by.")):
        bind("purifier", "mine", {"qy": 1})
    with refused(ParameterError, place="name", problem=some("takes nothing after a colon")):
        bind("purifier", "mine:x", {})


def test_evaluate_takes_names_and_says_which_of_its_arguments_is_wrong(own):
    with refused(place="purifier", remedy=some("Close: jpeg")):
        rbench.evaluate(linear(), IMAGES, LABELS, purifier="jpg")
    with refused(place="purifier", problem=some("only if you say so")):
        rbench.evaluate(linear(), IMAGES, LABELS, purifier="python:dims.py:Dim")
    assert not own.ran
    with refused(place="purifier", found="Dim"):
        rbench.evaluate(linear(), IMAGES, LABELS, purifier="python:dims.py:Dim", trust=True)
    assert own.ran
    assert rbench.load("purifier", "python:dims.py:dim", trust=True, by=3).by == 0.03


@pytest.mark.parametrize(
    ("kind", "name", "made", "words"),
    [
        ("purifier", "jpeg", Dim, "purifier 'jpeg' is there already."),
        ("purifier", "python", Dim, "purifier 'python' is there already."),
        ("purifier", "Mine", Dim, "'Mine' is no name."),
        ("purifier", "a:b", Dim, "'a:b' is no name."),
        ("purifier", "mine", Dim(), "expected a class, or a function"),
        ("purifier", "mine", "Dim", "expected a class, or a function"),
        ("network", "mine", Dim, "no network can be registered."),
        ("purifyer", "mine", Dim, "unknown kind 'purifyer'."),
    ],
)
def test_what_cannot_be_registered_is_told(own, kind, name, made, words):
    with refused(problem=some(words)):
        rbench.register(kind, name, made)


CELL = '''
LEVEL = 0.5

def level(x):
    return x * LEVEL

class Dim:
    """In a notebook."""
    def __init__(self, *, by: float = 0.9):
        self.by = by
    def forward(self, x):
        return level(x)
'''


@pytest.fixture
def cell(monkeypatch):
    """Runs a cell of a notebook, whose text Python finds by the name of its file alone."""
    notebook = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    count = iter(range(100))

    def run(text):
        name = f"<cell {next(count)}>"
        linecache.cache[name] = len(text), None, text.splitlines(True), name
        exec(compile(text, name, "exec"), vars(notebook))
        return notebook.Dim

    return run


def test_the_version_of_what_stands_in_a_notebook_is_of_its_source_and_of_what_that_uses(own, cell):
    def version(text):
        rbench.register("purifier", "mine", cell(text))
        return registry("purifier").get("mine").source_version

    first = version(CELL)
    assert len(first) == 12
    assert version(CELL + "# a remark\nOTHER = 3\n") == first
    for old, new in (("0.9", "0.8"), ("x * LEVEL", "x + LEVEL"), ("LEVEL = 0.5", "LEVEL = 0.4")):
        assert version(CELL.replace(old, new)) != first, new
    unknown = version("Dim = type('Dim', (), {'__init__': lambda self: None, '__module__': '__main__'})")
    assert unknown.startswith("unknown-")


SUITE = """\
suite: mine
dataset: {name: fashion-mnist-mini, samples: 2}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
purifiers: [mine]
attacks: [fgsm]
"""


def test_worker_processes_do_not_have_it_and_say_what_to_do(own, capsys):
    rbench.register("purifier", "mine", Dim)
    own.write("mine.yaml", SUITE)
    assert command("run", "mine.yaml", "--out", "run", "--workers", 1) == 2
    error = capsys.readouterr().err
    assert "purifier 'mine' was registered in another process" in error
    assert "python:FILE.py:NAME, or run with --workers 0" in error
    assert command("run", "mine.yaml", "--out", "run") == 0
    registered.forget()
    with refused(component="purifier 'mine'", problem=some("was registered in another process")):
        registry("purifier").get("mine")
