"""The hash of a result is the same whoever does the work, in batches of any size, in one go or after a kill."""

from itertools import product

import pytest
from small_runs import SUITE, rbench, records, running, wait_for

SAMPLES = SUITE.replace("samples: 24", "samples: 96").replace("steps: 10", "steps: 4").replace("steps: 8", "steps: 3")
WORKERS = {"one": ("--workers", "1"), "two": ("--workers", "2"), "ray": ("--executor", "ray", "--workers", "2")}
EVERYTHING = list(product(WORKERS, ("16", "32", "64"), ("fresh", "killed")))
SOON = [("one", "64", "fresh"), ("two", "16", "killed")]


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("hashes") / "small.yaml"
    path.write_text(SAMPLES)
    return path


@pytest.fixture(scope="module")
def hashes(suite):
    """Of a run with one worker in batches of sixteen."""
    assert rbench("run", suite, "--out", suite.parent / "whole", "--batch-size", "16", "--workers", "1") == 0
    return of(suite.parent / "whole")


def of(root):
    return {name: record.result_hash for name, record in records(root).items()}


def same(suite, hashes, root, workers, batch, how):
    options = ("run", suite, "--out", root, "--batch-size", batch, *WORKERS[workers])
    if how == "killed":
        with running(*options, until=1) as process:
            wait_for(lambda: len(list(root.glob("chunks/*/*.safetensors"))) >= 1, process)
            process.kill()
            process.wait()
        assert len(list(root.glob("records/*.json"))) < len(hashes), "it had ended before it was killed"
    assert rbench(*options) == 0
    assert of(root) == hashes


@pytest.mark.parametrize(("workers", "batch", "how"), SOON)
def test_a_result_has_one_hash(suite, hashes, tmp_path, workers, batch, how):
    same(suite, hashes, tmp_path / "run", workers, batch, how)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("workers", "batch", "how"), [one for one in EVERYTHING if one not in SOON])
def test_a_result_has_one_hash_for_all_workers_batches_and_ways_to_end(suite, hashes, tmp_path, workers, batch, how):
    if workers == "ray":
        pytest.importorskip("ray")
    same(suite, hashes, tmp_path / "run", workers, batch, how)
