"""Table G: a run that is killed or stopped ends like one that nobody disturbed."""

import os
import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from disturbed import MOST, SAMPLES, hashes, same, samples_of
from mortal import Killed, Mortal
from small_runs import chunks, litter, records, running, wait_for

from rbench.results.store import RunFolder
from rbench.running import processes
from rbench.running.executors import Terms


def dies(run, root, die_at):
    """Runs until an operation of the disk; how many there were."""
    with pytest.MonkeyPatch.context() as patched:
        mortal = Mortal(patched, die_at)
        with suppress(Killed):
            assert run(root) == 0
        return mortal.count


@pytest.fixture(scope="module")
def operations(run, whole, tmp_path_factory):
    """How many operations of the disk a run is."""
    count = dies(run, tmp_path_factory.mktemp("count") / "run", None)
    assert count > 80
    return count


def survives(run, root, whole, die_at, written):
    written.clear()
    dies(run, root, die_at)
    assert run(root) == 0
    same(root, whole)
    assert samples_of(written) <= SAMPLES + MOST, f"killed at operation {die_at}: more than one chunk was done twice"


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_077_killed_at_an_operation_of_the_disk_it_goes_on_and_redoes_one_chunk(
    run, whole, tmp_path, written, operations, share
):
    survives(run, tmp_path / "run", whole, int(share * operations), written)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_077_killed_at_any_operation_of_the_disk_it_goes_on_and_redoes_one_chunk(
    run, whole, tmp_path, written, operations
):
    for die_at in range(1, operations + 1):
        survives(run, tmp_path / str(die_at), whole, die_at, written)


def test_077_killed_by_the_system_it_goes_on(run, suite, whole, tmp_path, written):
    root = tmp_path / "run"
    with running("run", suite, "--out", root, "--batch-size", "2", until=2) as process:
        wait_for(lambda: len(chunks(root)) >= 2, process)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    kept = chunks(root)
    assert run(root) == 0
    same(root, whole)
    assert not set(kept) & set(written)


def test_078_sigterm_stops_it_with_143_and_keeps_what_is_finished(stopped, run, whole, written, capfd):
    root, code = stopped(2, lambda: signal.raise_signal(signal.SIGTERM))
    assert code == 143
    assert capfd.readouterr().err.splitlines()[-1] == "error: interrupted by SIGTERM; run again to go on"
    assert {record.status for record in records(root).values()} == {"cancelled"}
    assert len(chunks(root)) == 2
    assert not (root / "run.lock").exists()
    kept = chunks(root)
    written.clear()
    assert run(root) == 0
    assert samples_of(written) == SAMPLES - samples_of(kept)
    same(root, whole)


class Busy:
    """A worker at work: it does not end by being waited for."""

    exitcode = None

    def __init__(self, seen):
        self.seen = seen

    def kill(self):
        self.exitcode = -signal.SIGKILL
        self.seen.append("killed")

    def join(self, timeout=None):
        self.seen.append("waited for" if self.exitcode is None else "gone")

    def close(self):
        """Its end of the connection."""


def test_078_workers_are_ended_at_once_however_many_there_are(monkeypatch):
    """None is waited for before all are killed: sixteen that are at work would take longer than a scheduler allows."""
    seen = []
    monkeypatch.setattr(processes, "begin", lambda *given: (Busy(seen), Busy([])))
    processes.Processes(["cpu"] * 16, Terms("auto", 2, 1)).close()
    assert seen[:16] == ["killed"] * 16
    assert "waited for" not in seen


def test_079_ctrl_c_cancels_the_cell_with_130(stopped, run, whole):
    root, code = stopped(1, lambda: signal.raise_signal(signal.SIGINT))
    assert code == 130
    assert [record.status for record in records(root).values()] == ["cancelled"]
    assert run(root) == 0
    same(root, whole)


def test_079_a_second_ctrl_c_ends_it_while_the_first_is_answered(stopped, run, whole, monkeypatch):
    def write_record(folder, record):
        monkeypatch.undo()
        signal.raise_signal(signal.SIGINT)

    def twice():
        monkeypatch.setattr(RunFolder, "write_record", write_record)
        signal.raise_signal(signal.SIGINT)

    root, code = stopped(1, twice)
    assert code == 130
    assert records(root) == {}
    assert run(root) == 0
    same(root, whole)


def _workers(process):
    """Processes of a machine that descend from one, of which the last begun are its workers."""
    parents = {}
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
    children = {pid for pid, parent in parents.items() if parent == process.pid}
    return [pid for pid, parent in parents.items() if parent in children]


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_077_fifty_kills_at_random_of_coordinator_and_workers_end_in_one_hash(run, suite, whole, tmp_path, capfd):
    """KILL, TERM and INT, while it audits, attacks or writes; half of them meet a worker."""
    rng, ended = random.Random(0), []
    for number in range(50):
        root, sent = tmp_path / str(number), rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        to_worker, patience = number % 2 == 1, rng.uniform(0, 3)
        options = ("--workers", "2") if to_worker else ()
        with running("run", suite, "--out", root, "--batch-size", "2", *options) as process:
            wait_for(lambda root=root: (root / "run.lock").exists() or (root / "leaderboard.csv").exists(), process)
            with suppress(subprocess.TimeoutExpired):  # it runs: that is the usual case
                process.wait(patience)
            for pid in _workers(process)[-1:] if to_worker else [process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, sent)
            # Whoever asks for an end gets it within five seconds; a worker that is gone costs its span only.
            ended.append(process.wait(None if to_worker or sent == signal.SIGKILL else 5))
        assert run(root) == 0
        assert hashes(root) == hashes(whole)
        assert litter(root) == []
    # Before there is anything to keep, the system ends a process that is only loading.
    assert set(ended) <= {0, 130, 143, -signal.SIGKILL, -signal.SIGTERM}
