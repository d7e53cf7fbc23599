"""How the tests of the fault table ask what a suite is told."""

import json

import pytest
from fake_plugins import SUITE
from small_runs import rbench

from rbench.harmless import LINE, harmless


@pytest.fixture
def told(write, capsys):
    """Plans a suite that is wrong; the parts of the one error that is told of it."""

    def refuse(text=SUITE, *options, path=None):
        path = path or write(text)
        capsys.readouterr()
        assert rbench("plan", path, *options, "--json") == 2
        printed = capsys.readouterr()
        error = json.loads(printed.out)["error"]
        assert printed.err == harmless(f"error: {error['message']}", LINE) + "\n"
        assert len(printed.err.splitlines()) == 1
        return error

    return refuse


def changed(old, new):
    """The small suite with something else in it."""
    assert old in SUITE
    return SUITE.replace(old, new, 1)
