"""One writer a run folder; the dead hold nothing."""

import json
import os
import socket
import subprocess
import sys

import pytest

from rbench.errors import InputError
from rbench.results import lock
from rbench.results.process import alive, boot_id, identity, started
from rbench.results.store import RunFolder

HOLD = """
import sys
from pathlib import Path
from rbench.results.store import RunFolder
with RunFolder(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path)


def write_lock(folder, **changes):
    content = {**identity(), "exclusive": False, **changes}
    (folder.root / "run.lock").write_text(json.dumps(content))


def refusal(folder):
    with pytest.raises(InputError) as caught, folder.lock():
        pass
    return str(caught.value)


def test_the_lock_names_its_holder_and_goes_with_it(folder):
    with folder.lock():
        content = json.loads((folder.root / "run.lock").read_text())
        assert content["pid"] == os.getpid()
        assert content["host"] == socket.gethostname()
        assert content["boot"] == boot_id()
    assert not (folder.root / "run.lock").exists()


def test_the_lock_goes_with_an_error_too(folder):
    with pytest.raises(ZeroDivisionError), folder.lock():
        raise ZeroDivisionError
    with folder.lock():
        pass


def test_a_second_writer_is_refused_by_pid_and_host_until_the_first_is_killed(folder):
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert held.stdout.readline() == "held\n"
        message = refusal(folder)
        assert f"process {held.pid} on {socket.gethostname()}" in message
        assert str(folder.root) in message
    finally:
        held.kill()
        held.communicate()
    assert (folder.root / "run.lock").exists()
    with folder.lock():
        pass


def test_a_second_writer_in_the_same_process_is_refused(folder):
    with folder.lock():
        assert f"process {os.getpid()}" in refusal(folder)


def test_a_lock_of_a_living_process_holds_where_the_file_system_has_no_locks(folder, monkeypatch):
    monkeypatch.setattr(lock, "_take", lambda handle: None)
    write_lock(folder, pid=os.getppid(), started=started(os.getppid()))
    assert f"process {os.getppid()}" in refusal(folder)


@pytest.mark.parametrize(
    "stale",
    [
        {"pid": 999_999_999},
        {"pid": -1},
        {"boot": "another", "pid": os.getppid()},
        {"pid": os.getppid(), "started": 1},
        {"pid": os.getppid(), "exclusive": True},
    ],
    ids=["dead", "impossible", "before the last boot", "number given to another process", "lost the system's lock"],
)
def test_a_stale_lock_is_taken_over(folder, stale):
    write_lock(folder, **stale)
    with folder.lock():
        assert json.loads((folder.root / "run.lock").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("content", ["", '{"pid": 1', "[]", '{"pid": "x"}', "\x00" * 20])
def test_an_empty_or_torn_lock_is_taken_over(folder, content):
    (folder.root / "run.lock").write_text(content)
    with folder.lock():
        pass


def test_a_lock_of_another_machine_is_respected(folder):
    write_lock(folder, host="elsewhere", boot="another", pid=4)
    message = refusal(folder)
    assert "process 4 on elsewhere" in message
    assert "if it is gone, delete" in message


def test_processes_are_told_apart():
    assert alive(os.getpid())
    assert not alive(0)
    assert not alive(2**40)
    assert started(os.getpid()) == identity()["started"]
    assert started(999_999_999) is None
