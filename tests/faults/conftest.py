"""What the tests of the fault table share."""

import shutil

import pytest
from checkpoints import linear  # noqa: F401 - a fixture
from small_runs import rbench
from suite_errors import told  # noqa: F401 - a fixture
from tiny_runs import tiny  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def run(tmp_path_factory, request):
    """The run folder of the module's SUITE; nobody writes to it."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.yaml").write_text(request.module.SUITE)
    assert rbench("run", folder / "tiny.yaml", "--out", folder / "run") == 0
    return folder / "run"


@pytest.fixture
def root(run, tmp_path):
    """A copy of it, to be changed."""
    return shutil.copytree(run, tmp_path / "run")
