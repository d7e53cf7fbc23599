"""Table G: a run that is killed, stopped, starved of disk or found damaged ends like one that nobody disturbed."""

import errno
import os
import random
import re
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from mortal import Killed, Mortal
from safetensors.numpy import save_file
from small_runs import chunks, content, litter, outcome, rbench, records, running, wait_for

from rbench import fresh_process
from rbench.errors import InputError
from rbench.results import disk
from rbench.results.process import identity
from rbench.results.store import RunFolder
from rbench.running import processes
from rbench.running.executors import Terms
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

SUITE = """\
suite: tiny
dataset: {name: fashion-mnist-mini, samples: 6}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
purifiers: [identity]
attacks: [noise, {name: fgsm, gradient: exact}]
"""
FGSM = "identity/fgsm"
SAMPLES = 12
"""Of both cells together."""
MOST = 4
"""Samples of the largest chunk: the first of a cell has two of them, later ones grow while they are soon done."""


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


def samples_of(names):
    """How many samples chunks have."""
    ends = [name.rpartition("/")[2].split("-") for name in names]
    return sum(int(stop) - int(start) for start, stop in ends)


def same(root, whole):
    assert outcome(root) == outcome(whole)
    assert litter(root) == []


def hashes(root):
    return {title: one.result_hash for title, one in records(root).items()}


def id_of(root, title=FGSM):
    return records(root)[title].id


# --- killed and stopped -------------------------------------------------------------------------------------------


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


# --- the disk -----------------------------------------------------------------------------------------------------


def fails(code, name):
    """Giving a file its name fails for those that a pattern is found in, and is as ever for others."""
    real = disk.rename

    def rename(source, target):
        if re.search(name, f"{target.parent.name}/{target.name}"):
            raise OSError(code, os.strerror(code))
        real(source, target)

    return rename


CHUNK = r"/[2-9]-\d\.safetensors"
"""Any but the first of a cell."""


@pytest.mark.parametrize("name", [CHUNK, "samples/", "records/", "leaderboard.csv"])
def test_080_a_full_disk_ends_it_with_3_naming_path_and_bytes_and_spoils_nothing(
    run, whole, tmp_path, monkeypatch, capfd, name
):
    root = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(disk, "rename", fails(errno.ENOSPC, name))
        assert run(root) == 3
    (error,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error:")]
    assert str(root) in error
    assert re.search(name, error)
    assert "No space left on device" in error
    assert "bytes needed" in error
    assert not list(root.rglob("*.tmp"))
    assert run(root) == 0
    same(root, whole)


@pytest.mark.parametrize("spoil", ["torn", "altered"])
def test_081_082_a_chunk_that_is_torn_or_altered_is_done_again_and_no_other(stopped, run, whole, written, capfd, spoil):
    root, _ = stopped(3, lambda: signal.raise_signal(signal.SIGTERM))
    broken, *kept = chunks(root)
    path = root / "chunks" / f"{broken}.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data if spoil == "altered" else data[:-7])
    written.clear()
    capfd.readouterr()
    assert run(root) == 0
    (note,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("note:")]
    assert str(path) in note
    assert "to be done again" in note
    assert broken in written
    assert not set(kept) & set(written)
    same(root, whole)


def flipped(root, cell_id):
    """The samples of a cell with one bit of what they say turned."""
    path, record = root / "samples" / f"{cell_id}.parquet", RunFolder(root).read_record(cell_id)
    good = path.read_bytes()
    for place in range(len(good) // 2, len(good)):  # some bytes say nothing
        path.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        try:
            RunFolder(root).read_samples(record)
        except InputError:
            return path
    raise AssertionError("no bit matters")


def test_082_finished_samples_that_are_altered_are_named_by_verify_and_done_again_alone(root, run, whole, capfd):
    path, other = flipped(root, id_of(root)), f"records/{id_of(root, 'identity/noise')}.json"
    assert rbench("verify", root, "--offline", "--json") == 4
    assert str(path) in capfd.readouterr().out
    before = content(root)[other]
    assert run(root) == 0
    assert str(path) in capfd.readouterr().err
    assert content(root)[other] == before
    same(root, whole)


def test_083_a_second_writer_is_refused_by_pid_and_host_and_a_dead_one_is_not(root, run, whole, capfd):
    with RunFolder(root).lock():
        assert run(root) == 2
    error = capfd.readouterr().err
    assert f"process {os.getpid()} on {socket.gethostname()}" in error
    for stale in ({"pid": 999_999_999}, {"boot": "another"}):
        (root / "run.lock").write_text(str({**identity(), "exclusive": False, **stale}).replace("'", '"'))
        assert run(root) == 0
    same(root, whole)


def test_084_another_suite_runs_what_changed_keeps_the_rest_and_says_so(root, run, capfd):
    before = content(root / "records")
    assert run(root, "--set", "threat.eps=0.04", "--only", "*/fgsm") == 0
    after = content(root / "records")
    assert len(after) == 3
    assert before.items() <= after.items()
    printed = " ".join(capfd.readouterr().out.split())
    assert "Linf 0.05" not in printed
    assert "2 older records left out: suite, data, weights or code have changed" in printed


@pytest.mark.parametrize("what", ["weights", "data"])
def test_084_other_weights_or_data_are_other_cells(tmp_path, what):
    def ids(seed):
        images = np.random.default_rng(seed if what == "data" else 0).integers(0, 256, (4, 1, 28, 28), np.uint8)
        np.savez(tmp_path / "data.npz", x=images, y=np.arange(4))
        save_file({"a": np.array([seed if what == "weights" else 0])}, tmp_path / "dae.safetensors")
        (tmp_path / "s.yaml").write_text(
            f"suite: s\ndataset: {{name: npz, path: {tmp_path}/data.npz}}\nthreat: {{norm: Linf, eps: 0.05}}\n"
            f"backbones: [bundled:fashion-cnn]\npurifiers: [{{name: cropd, weights: {tmp_path}/dae.safetensors}}]\n"
            "attacks: [noise]\n"
        )
        return {cell.purifier.label: cell.id for cell in plan(load_suite(tmp_path / "s.yaml")).cells}

    first, second = ids(0), ids(1)
    assert {label for label in first if first[label] != second[label]} == (set(first) if what == "data" else {"cropd"})


def test_085_another_batch_size_goes_on_to_the_same_hash(stopped, run, whole):
    root, _ = stopped(2, lambda: signal.raise_signal(signal.SIGTERM))
    assert run(root, batch=5) == 0
    assert hashes(root) == hashes(whole)


def test_085_089_workers_that_start_from_nothing_go_on_to_the_same_hash(stopped, run, whole, monkeypatch):
    """As on macOS and Windows: no process is a fork of one that has threads."""
    root, _ = stopped(2, lambda: signal.raise_signal(signal.SIGTERM))
    monkeypatch.setattr(fresh_process, "get_all_start_methods", lambda: ["spawn"])
    assert run(root, "--workers", "2") == 0
    assert hashes(root) == hashes(whole)


def test_086_a_finished_run_is_left_byte_for_byte(root, run, monkeypatch, capfd):
    def torch_is_not_needed(*arguments, **more):
        raise AssertionError

    monkeypatch.setattr("rbench.running.runner.run", torch_is_not_needed)
    before = content(root)
    assert run(root) == 0
    assert "nothing to do: all 2 cells are in" in capfd.readouterr().err
    assert content(root) == before


STATE = ["cells.jsonl", "suite.yaml", "batch_sizes.json", "run.lock", "records/{id}.json", "samples/{id}.parquet"]


@pytest.mark.parametrize("name", STATE)
def test_087_an_empty_file_of_state_counts_as_none(root, run, whole, name, capfd):
    path = root / name.format(id=id_of(root))
    path.write_bytes(b"")
    assert run(root) == 0
    printed = capfd.readouterr()
    assert "Traceback" not in printed.err
    if "id" in name:
        assert str(path) in printed.err, "a note says what is run again"
    same(root, whole)


def test_088_a_folder_that_is_deleted_midway_ends_it_with_3_and_does_not_come_back(stopped, tmp_path, capfd):
    root, code = stopped(1, lambda: (tmp_path / "run").rename(tmp_path / "gone"))
    assert code == 3
    assert str(root) in capfd.readouterr().err.splitlines()[-1]
    assert not root.exists()


@pytest.mark.parametrize("code", [errno.EROFS, errno.EIO])
def test_088_a_disk_that_becomes_read_only_ends_it_with_3(run, whole, tmp_path, monkeypatch, capfd, code):
    root = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(disk, "rename", fails(code, CHUNK))
        assert run(root, "--only", "*/fgsm") == 3
    assert os.strerror(code) in capfd.readouterr().err
    assert samples_of(chunks(root)) > 0
    assert run(root) == 0
    same(root, whole)


# --- real kills ---------------------------------------------------------------------------------------------------


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
