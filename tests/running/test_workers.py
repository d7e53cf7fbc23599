"""Workers in processes of their own: the same results, and one that is gone costs its span."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_runs import SHORT, litter, outcome, rbench, records, running, wait_for

from rbench.errors import InputError
from rbench.results.process import alive
from rbench.results.store import RunFolder
from rbench.running.executors import Lost, Terms
from rbench.running.pool import workers_for
from rbench.running.processes import BEAT, IDLE_SHARE, Processes
from rbench.running.tasks import Prepare
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

DYING = '''
import os, signal, sys, time
from pathlib import Path
import torch

class Dying(torch.nn.Module):
    """The images as they are, until a first span is finished: then its process goes, for a number of times."""

    def __init__(self, *, run: str, marks: str, how: str, times: int):
        super().__init__()
        self.run, self.marks, self.how, self.times = run, marks, how, times

    def forward(self, x):
        marks = Path(self.marks)
        if list(Path(self.run).glob("chunks/*/*")) and len(list(marks.iterdir())) < self.times:
            (marks / str(os.getpid())).touch()
            if self.how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "hung":
                time.sleep(1e6)
            os._exit(3)
        return x
'''
SUITE = """\
suite: dying
dataset: {{name: fashion-mnist-mini, samples: 12}}
threat: {{norm: Linf, eps: 0.05}}
backbones: [bundled:fashion-cnn]
purifiers: [identity, {{name: dying, run: {run}, marks: {marks}, how: {how}, times: {times}}}]
attacks: [{{name: pgd, steps: 3}}]
"""


@pytest.fixture
def dying(plugins, tmp_path):
    """A suite whose second row ends its worker."""
    plugins.add("dying", {"dying": DYING}, {"rbench.purifiers": {"dying": "dying:Dying"}})
    (tmp_path / "marks").mkdir()

    def made(how, times):
        suite = tmp_path / "dying.yaml"
        suite.write_text(SUITE.format(run=tmp_path / "run", marks=tmp_path / "marks", how=how, times=times))
        return suite

    return made


def test_two_workers_come_to_the_same_results_as_one(tmp_path):
    suite = tmp_path / "small.yaml"
    suite.write_text(SHORT)
    assert rbench("run", suite, "--out", tmp_path / "one", "--batch-size", 2) == 0
    assert rbench("run", suite, "--out", tmp_path / "two", "--batch-size", 2, "--workers", 2) == 0
    assert outcome(tmp_path / "one") == outcome(tmp_path / "two")
    assert not litter(tmp_path / "two")


SPANS = """\
suite: spans
dataset: {{name: fashion-mnist-mini, samples: 12}}
threat: {{norm: Linf, eps: 0.05}}
backbones: [bundled:fashion-cnn]
attacks: [{{name: autoattack, version: custom, attacks: [apgd-ce], engine: {engine}}}]
"""


@pytest.mark.parametrize(("engine", "shared"), [("native", True), ("reference", False)])
def test_workers_share_the_samples_of_an_attack_that_would_take_all_of_them_together(
    engine, shared, tmp_path, monkeypatch
):
    """Third-party code draws for a batch, so that there fewer samples at once are another attack."""
    suite, spans, write = tmp_path / "spans.yaml", [], RunFolder.write_chunk
    suite.write_text(SPANS.format(engine=engine))
    monkeypatch.setattr(
        RunFolder, "write_chunk", lambda self, *chunk: spans.append(chunk[1:3]) or write(self, *chunk), raising=True
    )
    for workers in (1, 2):
        options = ("--out", tmp_path / str(workers), "--batch-size", 4, "--workers", workers)
        assert rbench("run", suite, *options) == 0
    assert spans[0] == (0, 12)
    assert sorted(spans[1:]) == ([(0, 6), (6, 12)] if shared else [(0, 12)])
    # Starts of the last samples run together, so that what is spent depends on who is attacked together.
    results = [{one.id: one.result_hash for one in records(tmp_path / name).values()} for name in "12"]
    assert results[0] == results[1]


@pytest.mark.parametrize(("how", "said"), [("killed", "was killed (SIGKILL"), ("left", "ended with exit code 3")])
def test_a_worker_that_is_gone_costs_its_span_which_another_one_does(how, said, dying, tmp_path, capsys):
    code = rbench("run", dying(how, 1), "--out", tmp_path / "run", "--batch-size", 2, "--workers", 2)
    err = capsys.readouterr().err
    assert code == 0, err
    assert said in err
    assert "begins again" in err
    hashes = {record.result_hash for record in records(tmp_path / "run").values()}
    assert len(hashes) == 1, "the purifier changes nothing, so its row is that of the identity"


def test_a_span_that_ends_every_worker_fails_its_cell_and_no_other(dying, tmp_path, capsys):
    assert rbench("run", dying("killed", 99), "--out", tmp_path / "run", "--batch-size", 2, "--workers", 2) == 1
    found = records(tmp_path / "run")
    assert found["identity/pgd"].status == "done"
    failed = found["dying/pgd"]
    assert failed.status == "failed"
    assert "SIGKILL" in failed.error
    assert "3 times" in failed.error
    assert "Traceback" not in capsys.readouterr().err


def test_a_worker_that_does_nothing_is_taken_for_hung_and_killed(dying, tmp_path, monkeypatch):
    (cell,) = [one for one in plan(load_suite(dying("hung", 1))).cells if one.purifier.name == "dying"]
    (tmp_path / "run" / "chunks" / "a").mkdir(parents=True)
    (tmp_path / "run" / "chunks" / "a" / "b").touch()
    monkeypatch.setattr("rbench.running.processes.BEAT", 0.5)
    monkeypatch.setattr("rbench.running.processes.IDLE_SHARE", 0.2)  # of half a second here, of five in the worker
    workers = Processes(["cpu"], Terms("auto", 4, 1), hung_after=8.0)
    try:
        workers.start(0, Prepare(cell))
        place, lost = workers.next(lambda task, count: None)
        assert (place, type(lost)) == (0, Lost)
        assert "did nothing for 8 s" in lost.how
        workers.start(0, Prepare(cell))
        assert not isinstance(workers.next(lambda task, count: None)[1], Lost)
    finally:
        workers.close()


def test_signs_of_life_do_not_add_up_to_work():
    workers, share = Processes([], Terms("auto", 4, 1)), IDLE_SHARE * BEAT
    worker = SimpleNamespace(task=object(), moved=0.0, used=0.0)
    for beat in range(1, 100):
        workers._heard(worker, beat * share / 2, None)
    assert worker.moved == 0
    workers._heard(worker, worker.used + 2 * share, None)
    assert worker.moved > 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The arguments of a run, and what it comes to when nothing disturbs it."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "small.yaml").write_text(SHORT)
    ours = ("run", folder / "small.yaml", "--only", "*/pgd*", "--batch-size", "2", "--out")
    assert rbench(*ours, folder / "run") == 0
    return ours, outcome(folder / "run")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak), signal.SIGKILL]
)
def test_workers_end_with_their_run_and_the_next_one_goes_on(number, whole, tmp_path):
    ours, undisturbed = whole
    with running(*ours, tmp_path / "run", "--workers", "2", until=2) as process:
        wait_for(lambda: len(list((tmp_path / "run").glob("chunks/*/*.safetensors"))) >= 2, process)
        workers = [
            int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal() and _is_of(path, process)
        ]
        assert workers
        process.send_signal(number)
        process.wait()
    while any(alive(pid) for pid in workers):  # should they never end, the time limit of the test ends it
        time.sleep(0.05)
    assert rbench(*ours, tmp_path / "run", "--workers", 2) == 0
    assert outcome(tmp_path / "run") == undisturbed


def _is_of(path, process):
    """Whether a process of this machine is one of another's, or of one that that started."""
    try:
        parents = [int((path / "stat").read_text().rpartition(")")[2].split()[1])]
        parents.append(int(Path(f"/proc/{parents[0]}/stat").read_text().rpartition(")")[2].split()[1]))
    except (OSError, ValueError, IndexError):
        return False
    return process.pid in parents


LOCKING = """
import multiprocessing, torch

class Locking(torch.nn.Module):
    stochastic = False

    def __init__(self):
        super().__init__()
        Locking.lock = multiprocessing.get_context("spawn").Lock()

    def forward(self, x):
        return x
"""


def test_a_lock_that_a_model_makes_is_no_warning_at_the_end(tmp_path):
    (tmp_path / "locking.py").write_text(LOCKING)
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        SUITE.partition("purifiers")[0].format() + "purifiers: ['python:locking.py:Locking']\nattacks: [fgsm]\n"
    )
    command = [sys.executable, "-m", "rbench", "run", suite, "--trust", "--workers", "1", "--limit", "4"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "resource_tracker" not in done.stderr + done.stdout


def test_auto_takes_a_worker_for_each_core_or_as_many_as_there_are_cells(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    assert workers_for("auto", "cpu", 1, [object()] * 20) == 8
    assert workers_for("auto", "cpu", 3, [object()] * 20) == 2
    assert workers_for("auto", "cpu", 1, [object()] * 3) == 3
    assert workers_for("5", "cpu", 1, [object()]) == 5
    assert workers_for("0", "cpu", 1, [object()]) == 0


@pytest.mark.parametrize("given", ["-1", "two", "1.5", "", "²"])
def test_a_number_of_workers_that_is_none_is_refused(given):
    with pytest.raises(InputError, match="--workers"):
        workers_for(given, "cpu", 1, [])
