"""A run of two small cells, whole and disturbed."""

import shutil

import pytest
from disturbed import SUITE
from small_runs import rbench, records

from rbench.results.store import RunFolder


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "tiny.yaml"
    path.write_text(SUITE)
    return path


@pytest.fixture(scope="module")
def run(suite):
    """The command on the suite; the exit code."""

    def ran(root, *options, batch=2):
        return rbench("run", suite, "--out", root, "--batch-size", batch, *options)

    return ran


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    """A run that nobody disturbed."""
    root = tmp_path_factory.mktemp("whole") / "run"
    assert run(root) == 0
    assert [record.status for record in records(root).values()] == ["done"] * 2
    return root


@pytest.fixture
def root(whole, tmp_path):
    """A copy of it."""
    return shutil.copytree(whole, tmp_path / "run")


@pytest.fixture
def stopped(run, tmp_path, monkeypatch):
    """Runs until some chunks are written, and does something then; the run folder and the exit code."""
    root, real, left = tmp_path / "run", RunFolder.write_chunk, [0]

    def stop(parts, act):
        left[0] = parts

        def write_chunk(*arguments):
            real(*arguments)
            left[0] -= 1
            if not left[0]:
                act()

        with monkeypatch.context() as patched:
            patched.setattr(RunFolder, "write_chunk", write_chunk)
            return root, run(root)

    return stop


@pytest.fixture
def written(monkeypatch):
    """The chunks that this process writes."""
    names, real = [], RunFolder.write_chunk

    def write_chunk(folder, cell_id, start, stop, *rest):
        names.append(f"{cell_id}/{start}-{stop}")
        real(folder, cell_id, start, stop, *rest)

    monkeypatch.setattr(RunFolder, "write_chunk", write_chunk)
    return names
