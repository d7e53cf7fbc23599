"""`rbench status` and `rbench open`: folders that are running, stopped and finished, read without disturbing them."""

import json
import os
import subprocess
import sys
import webbrowser

import numpy as np
import pytest
from cli_said import said
from made_runs import Made

from rbench.results.process import identity

EVERY, NONE = [True] * 4, [False] * 4


@pytest.fixture
def made(tmp_path):
    made = Made(tmp_path / "run")
    made.done("pgd", clean=EVERY, robust=NONE)
    made.other("apgd", "failed", error="CUDA ran out of memory")
    begun = made.other("square", "missing")
    made.other("fab", "missing")
    made.plan()
    made.folder.write_chunk(begun["id"], 0, 3, {"distance": np.zeros(3)}, {})
    return made


def files(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


def test_a_run_that_was_stopped_says_what_is_done_failed_begun_and_missing(made, capsys):
    before = files(made.root)
    code, out, _ = said(capsys, "status", made.root, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["counts"] == {"done": 1, "failed": 1, "cancelled": 0, "unreadable": 0, "missing": 2}
    assert (found["running"], found["writer"]) == (False, None)
    assert [cell["state"] for cell in found["cells"]] == ["done", "failed", "missing", "missing"]
    assert [cell["kept"] for cell in found["cells"]] == [0, 0, 3, 0]
    lines = said(capsys, "status", made.root)[1].splitlines()
    assert lines[0].endswith("4 cells: 1 done, 1 failed, 2 missing")
    assert lines[lines.index("stopped within:") + 1] == "  cnn/jpeg/square at 8/255: 3 of 4 samples"
    assert lines[lines.index("failed:") + 1] == "  cnn/jpeg/apgd at 8/255: CUDA ran out of memory"
    assert lines[lines.index("not begun:") + 1 :] == ["  cnn/jpeg/fab at 8/255"]
    assert files(made.root) == before


def test_a_run_at_work_is_told_by_its_lock_and_the_lock_stays(made, capsys):
    with made.folder.lock():
        found = json.loads(said(capsys, "status", made.root, "--json")[1])
        assert found["running"] is True
        assert found["writer"]["pid"] == os.getpid()
        out = said(capsys, "status", made.root)[1]
        assert f"running: process {os.getpid()} on " in out
        assert "at work:\n  cnn/jpeg/square at 8/255: 3 of 4 samples\n" in out
        assert (made.root / "run.lock").exists()
    assert "nobody is writing" in said(capsys, "status", made.root)[1]


@pytest.mark.parametrize(
    ("holder", "running"),
    [
        ({**identity(), "pid": 2**30}, False),
        ({**identity(), "started": 1}, False),
        ({**identity(), "host": "elsewhere", "boot": "other"}, None),
        ({"pid": "nobody"}, False),
    ],
)
def test_a_lock_of_the_dead_or_of_another_machine_is_no_proof_of_a_run(made, capsys, holder, running):
    (made.root / "run.lock").write_text(json.dumps(holder))
    assert json.loads(said(capsys, "status", made.root, "--json")[1])["running"] is running


def test_a_finished_run_is_called_finished_and_a_broken_record_unreadable(tmp_path, capsys):
    made = Made(tmp_path / "run")
    cell = made.done("pgd", clean=EVERY, robust=NONE)
    made.plan()
    assert said(capsys, "status", made.root)[1].splitlines()[1] == "finished"
    made.folder.record_path(cell["id"]).write_text("{")
    assert json.loads(said(capsys, "status", made.root, "--json")[1])["counts"]["unreadable"] == 1


def test_names_in_a_folder_do_not_act_on_the_terminal(tmp_path, capsys):
    made = Made(tmp_path / "run")
    made.other("pgd", "failed", error="\x1b[31mred\nline", purifier="\x1b[2Jname")
    made.plan()
    out = said(capsys, "status", made.root)[1]
    assert "\x1b" not in out
    assert "\\x1b[31mred line" in out


@pytest.mark.parametrize("verb", ["status", "open"])
def test_a_folder_that_is_none_is_bad_input(verb, tmp_path, capsys):
    code, out, err = said(capsys, verb, tmp_path / "gone")
    assert (code, out) == (2, "")
    assert "no such folder" in err
    code, _, err = said(capsys, verb, tmp_path)
    assert code == 2
    assert len(err.splitlines()) == 1


def test_status_and_open_import_no_torch(made):
    line = f"import sys; from rbench.cli.main import _exit_code; _exit_code(['status', {str(made.root)!r}]); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("display", "options", "opened"), [(":0", [], True), ("", [], False), (":0", ["--no-browser"], False)]
)
def test_the_page_is_opened_where_there_is_a_screen_and_its_path_is_always_printed(
    tmp_path, capsys, monkeypatch, display, options, opened
):
    (tmp_path / "leaderboard.html").touch()
    seen = []
    monkeypatch.setattr(webbrowser, "open", seen.append)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("BROWSER", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", display)
    code, out, _ = said(capsys, "open", tmp_path, *options)
    page = (tmp_path / "leaderboard.html").resolve()
    assert (code, out) == (0, f"{page}\n")
    assert seen == ([page.as_uri()] if opened else [])


def test_a_folder_without_a_page_is_told_how_to_get_one(made, capsys):
    code, _, err = said(capsys, "open", made.root)
    assert code == 2
    assert f"rbench report {made.root} --to html writes it." in err
