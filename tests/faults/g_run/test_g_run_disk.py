"""Table G: a run that is starved of disk or found damaged ends like one that nobody disturbed."""

import errno
import os
import re
import signal
import socket

import numpy as np
import pytest
from disturbed import hashes, id_of, same, samples_of
from safetensors.numpy import save_file
from small_runs import chunks, content, rbench

from rbench import fresh_process
from rbench.errors import InputError
from rbench.results import disk
from rbench.results.process import identity
from rbench.results.store import RunFolder
from rbench.suite.load import load_suite
from rbench.suite.plan import plan


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
