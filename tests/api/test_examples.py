"""What is public has an example in its docstring, which is run; `dir(rbench)` shows exactly what is public."""

import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import rbench

NAMES = [name for name in rbench.__all__ if name != "__version__"]
SUITE = """\
suite: example
dataset: {name: fashion-mnist-mini, samples: 8}
threat: {norm: Linf, eps: 0.02}
backbones: [bundled:fashion-cnn]
purifiers: [identity, jpeg]
attacks: [fgsm]
"""
KEPT = Path(__file__).parents[2] / "results/quickstart"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What the examples take for given: a suite, and the results of the quickstart."""
    monkeypatch.chdir(tmp_path)
    Path("suite.yaml").write_text(SUITE)
    Path("results").mkdir()
    Path("results/quickstart").symlink_to(KEPT)


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_what_is_public_says_what_happens(name, folder):
    public = getattr(rbench, name)
    finder = doctest.DocTestFinder(recurse=False)
    (test,) = finder.find(public, name, globs={"rbench": rbench, "torch": torch})
    assert test.examples
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    said = []
    runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_public_says_the_type_of_everything(name):
    public = getattr(rbench, name)
    functions = (
        [public]
        if inspect.isfunction(public)
        else [
            one.fget if isinstance(one, property) else one
            for key, one in vars(public).items()
            if not key.startswith("_") and (isinstance(one, property) or inspect.isfunction(one))
        ]
    )
    for function in functions:
        signature = inspect.signature(function)
        kinds = [one.annotation for key, one in signature.parameters.items() if key != "self"]
        assert inspect.Signature.empty not in [*kinds, signature.return_annotation], function
        assert inspect.getdoc(function), function


def test_dir_shows_what_is_public_and_nothing_else():
    assert dir(rbench) == sorted(rbench.__all__)
    code = "import sys, rbench; print(sorted(n for n in dir(rbench))); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sorted(rbench.__all__))
    with pytest.raises(AttributeError, match="nothing"):
        rbench.__getattr__("nothing")


def test_plans_and_tables_of_folders_need_no_torch(folder):
    code = (
        "import sys, rbench; print(rbench.plan('suite.yaml'), rbench.table('results/quickstart')); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Plan(example: 2 cells) Table(")


def test_help_reads_like_a_page():
    text = inspect.getdoc(rbench.evaluate)
    assert text.splitlines()[0].endswith(".")
    signature = inspect.signature(rbench.evaluate)
    for name, one in signature.parameters.items():
        stars = "**" if one.kind is inspect.Parameter.VAR_KEYWORD else ""
        assert f"\n    {stars}{name}: " in text
    for head in ("Args:", "Raises:", "Warns:", "Example:"):
        assert text.count(f"\n{head}\n") == 1
