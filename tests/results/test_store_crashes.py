"""A run folder survives a death at every operation of the disk, and every error of it."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from made_runs import columns, document, record
from mortal import OPERATIONS, Killed, Mortal

from rbench.errors import MissingError
from rbench.results import disk
from rbench.results.store import RunFolder

CELLS = [document("pgd", samples=5), document("square", samples=5)]


def tiny_run(root: Path, done: list) -> None:
    """Two cells of three chunks each; `done` gets every chunk that had to be worked for."""
    folder = RunFolder.create(root)
    with folder.lock():
        folder.write_suite("suite: tiny\n")
        folder.write_cells(CELLS)
        for cell in CELLS:
            if folder.read_record(cell["id"]):
                continue
            finished, _ = folder.read_chunks(cell["id"])
            parts = {chunk.start: chunk.arrays["robust"] for chunk in finished}
            for start, stop in ((0, 2), (2, 4), (4, 5)):
                if start not in parts:
                    parts[start] = np.arange(start, stop) % 2 == 0
                    done.append((cell["id"], start))
                    folder.write_chunk(cell["id"], start, stop, {"robust": parts[start]}, {"seconds": 1.0})
            robust = np.concatenate([parts[start] for start in sorted(parts)])
            images = np.zeros((5, 1, 2, 2), np.float32), np.arange(5)
            folder.finish(record(cell), columns(np.ones(5, bool), robust), images)


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_killed_at_any_operation_and_run_again_it_ends_like_an_undisturbed_run(tmp_path):
    with pytest.MonkeyPatch.context() as monkeypatch:
        counter = Mortal(monkeypatch)
        tiny_run(tmp_path / "whole", [])
    whole = content(tmp_path / "whole")
    assert set(whole) == {"suite.yaml", "cells.jsonl"} | {
        f"{folder}/{cell['id']}.{end}"
        for cell in CELLS
        for folder, end in (("records", "json"), ("samples", "parquet"), ("images", "safetensors"))
    }
    assert counter.count > 80
    for k in range(1, counter.count + 1):
        root, done = tmp_path / str(k), []
        with pytest.MonkeyPatch.context() as monkeypatch:
            Mortal(monkeypatch, die_at=k)
            with pytest.raises(Killed):
                tiny_run(root, done)
        tiny_run(root, done)
        assert content(root) == whole, f"killed at operation {k}"
        assert len(done) <= 6 + 1, f"killed at operation {k}: more than one chunk was done twice"


def test_killed_twice_it_still_ends_like_an_undisturbed_run(tmp_path):
    tiny_run(tmp_path / "whole", [])
    for k in range(5, 90, 9):
        root = tmp_path / str(k)
        for die_at in (k, 7):
            with pytest.MonkeyPatch.context() as monkeypatch:
                Mortal(monkeypatch, die_at=die_at)
                with pytest.raises(Killed):
                    tiny_run(root, [])
        tiny_run(root, [])
        assert content(root) == content(tmp_path / "whole")


def test_a_finished_run_is_left_as_it_is(tmp_path):
    done = []
    tiny_run(tmp_path, done)
    before = content(tmp_path)
    tiny_run(tmp_path, done)
    assert content(tmp_path) == before
    assert len(done) == 6


def test_a_file_is_synced_before_it_takes_its_name_and_the_folder_after(tmp_path, monkeypatch):
    calls = []
    for name in OPERATIONS:
        operation = getattr(disk, name)
        monkeypatch.setattr(
            disk, name, lambda *a, name=name, operation=operation: (calls.append(name), operation(*a))[1]
        )
    RunFolder(tmp_path).write_suite("suite: a\n")
    assert calls == ["create", "write", "sync", "rename", "sync_folder"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("operation", ["create", "write", "sync", "rename", "sync_folder"])
def test_an_error_of_the_disk_names_the_path_and_spoils_nothing(tmp_path, monkeypatch, code, operation):
    folder = RunFolder.create(tmp_path)
    folder.write_suite("suite: old\n")

    def fails(*arguments):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(disk, operation, fails)
        with pytest.raises(MissingError) as caught:
            folder.write_suite("suite: new\n")
    assert str(tmp_path / "suite.yaml") in str(caught.value)
    assert os.strerror(code) in str(caught.value)
    assert "11 bytes needed" in str(caught.value)
    expected = "suite: new\n" if operation == "sync_folder" else "suite: old\n"
    assert (tmp_path / "suite.yaml").read_text() == expected
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_full_disk_is_told_from_a_real_one(tmp_path, monkeypatch):
    real = disk.create
    monkeypatch.setattr(disk, "create", lambda path: (os.close(real(path)), os.open("/dev/full", os.O_WRONLY))[1])
    with pytest.raises(MissingError, match=r"suite.yaml: cannot be written: No space left on device"):
        RunFolder.create(tmp_path).write_suite("suite: new\n")


def test_a_run_folder_deleted_midway_does_not_come_back_half_empty(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "gone")
    with pytest.raises(MissingError, match="run/chunks"):
        folder.write_chunk("abc", 0, 1, {"x": np.zeros(1)}, {})
    with pytest.raises(MissingError, match=r"suite\.yaml"):
        folder.write_suite("")
    assert not (tmp_path / "run").exists()


def test_temporary_files_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    folder = RunFolder.create(tmp_path)
    dead = tmp_path / "records" / ".abc.json.999999999-0123abcd.tmp"
    living = tmp_path / "records" / f".abc.json.{os.getppid()}-0123abcd.tmp"
    foreign = tmp_path / "records" / ".notes.tmp"
    for path in (dead, living, foreign):
        path.write_text("half")
    with folder.lock():
        assert [path.exists() for path in (dead, living, foreign)] == [False, True, True]
