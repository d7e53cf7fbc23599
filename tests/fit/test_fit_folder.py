"""What `rbench fit` finds in its folder and has not made stays there."""

import signal
import subprocess
import sys

import pytest
from parts import refused, some
from small_runs import environment

from rbench.fit import run
from rbench.fit.made import Watch
from rbench.fit.run import fit

KILLED = """
import os, signal, sys
from pathlib import Path
from rbench.fit import run
from rbench.fit.load import load_recipe
run.write_card = lambda path, card: os.kill(os.getpid(), signal.SIGKILL)
run.fit(load_recipe(sys.argv[1]), Path(sys.argv[2]))
"""
"""A real kill: nothing of what is in `finally` runs."""


def untouched(folder, before):
    return {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_weights_without_a_card_are_not_overwritten(recipe, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    mine = {"tiny.safetensors": b"weeks of work", "tiny.lock": b"poetry's", "notes.md": b"mine"}
    for name, content in mine.items():
        (out / name).write_bytes(content)
    watch = Watch(reading=lambda done, total: pytest.fail("data was read"))
    with refused(place=str(out / "tiny.safetensors"), problem=some("tiny.json"), remedy=some("--out")):
        fit(recipe("purifier"), out, watch=watch)
    assert untouched(out, mine)
    (out / "tiny.safetensors").unlink()
    assert fit(recipe("purifier"), out).fresh
    assert {name: (out / name).read_bytes() for name in mine if name != "tiny.safetensors"}.items() <= mine.items()


@pytest.mark.parametrize("kind", ["purifier", "head"])
def test_killed_between_weights_and_card_it_is_gone_on_from(recipe, write, tmp_path, kind):
    done = subprocess.run([sys.executable, "-c", KILLED, str(write(kind)), str(tmp_path / "out")], env=environment())
    assert done.returncode == -signal.SIGKILL
    name = recipe(kind).spec.recipe
    assert (tmp_path / "out" / f"{name}.safetensors").exists()
    assert not (tmp_path / "out" / f"{name}.json").exists()
    assert fit(recipe(kind), tmp_path / "out").fresh
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{name}.json", f"{name}.safetensors"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_weights_whose_card_cannot_be_written_are_made_again(recipe, tmp_path, monkeypatch, error):
    def fails(path, card):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(run, "write_card", fails)
        with pytest.raises(error):
            fit(recipe("head"), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert fit(recipe("head"), tmp_path / "out").fresh
