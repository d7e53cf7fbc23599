"""Workers on a Ray cluster of two nodes on this machine: the same results, also where a node is gone."""

import threading
import time

import pytest
from small_runs import SHORT, litter, outcome, rbench

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ARGUMENTS = ("--batch-size", 2, "--executor", "ray", "--workers", 2)


@pytest.fixture
def cluster():
    """Two nodes of one processor each; the driver is on the first."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    ray.init(address=made.address, log_to_driver=False)  # before there is another node that it could connect to
    second = made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made, second
    ray.shutdown()
    made.shutdown()


def test_a_cluster_comes_to_the_same_results_and_a_node_that_is_killed_loses_nothing(cluster, tmp_path, capsys):
    made, second = cluster
    suite = tmp_path / "small.yaml"
    suite.write_text(SHORT)
    assert rbench("run", suite, "--out", tmp_path / "one", "--batch-size", 2) == 0
    assert rbench("run", suite, "--out", tmp_path / "two", *ARGUMENTS) == 0
    assert outcome(tmp_path / "two") == outcome(tmp_path / "one")
    capsys.readouterr()

    chunks = tmp_path / "three" / "chunks"

    def kill():
        while not list(chunks.glob("*/*.safetensors")):
            time.sleep(0.05)
        made.remove_node(second, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    assert rbench("run", suite, "--out", tmp_path / "three", *ARGUMENTS) == 0
    killer.join()
    assert "is gone" in capsys.readouterr().err
    assert outcome(tmp_path / "three") == outcome(tmp_path / "one")
    assert not litter(tmp_path / "three")
