"""What `rbench run` shows: on a terminal, to a program, and where the terminal is poor."""

import csv
import fcntl
import json
import os
import struct
import subprocess
import sys
import termios
import time

import pytest
from small_runs import command, environment, rbench

from rbench.cli import following

SUITE = """\
suite: shown
dataset: {name: fashion-mnist-mini, samples: 8}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
purifiers: [identity, {name: random-resize-pad, as: a-purifier-with-a-very-long-label}]
attacks:
  - {name: pgd, steps: 2, as: an-attack-with-a-long-label}
  - noise
protocol: {draws: 4, select_draws: 8}
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "shown.yaml"
    path.write_text(SUITE)
    return path


@pytest.fixture(scope="module")
def finished(suite, tmp_path_factory):
    root = tmp_path_factory.mktemp("finished") / "run"
    assert rbench("run", suite, "--out", root) == 0
    return root


def on_terminal(arguments, columns=80, **changes):
    """Runs the command on a terminal of its own; its exit code and everything it wrote there."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    variables = environment(COLUMNS=None, TERM="xterm", NO_COLOR=None, **changes)
    process = subprocess.Popen(command(*arguments), env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = bytearray()
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux says that the other side has gone
            break
        if not part:
            break
        written += part
    os.close(ours)
    return process.wait(), written.decode()


def shown_lines(text):
    """The lines without the codes for colour and cursor."""
    plain, rest = [], iter(text)
    for character in rest:
        if character == "\x1b":
            for code in rest:
                if code.isalpha():
                    break
        else:
            plain.append(character)
    return "".join(plain).replace("\r", "\n").split("\n")


def test_on_a_terminal_progress_and_leaderboard_keep_to_its_80_columns(suite, tmp_path):
    code, text = on_terminal(["run", suite, "--out", tmp_path / "run"])
    lines = shown_lines(text)
    assert code == 0, text
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("1/4 ...") and " 8/32 " in line and " left " in line for line in lines), "no bar"
    assert sum(line.startswith("[") and "/4] " in line for line in lines) == 4
    assert any(line.startswith("fashion-mnist-mini (8 samples)") for line in lines)


def test_json_is_alone_on_stdout_and_progress_on_stderr(suite, tmp_path, capfd):
    assert rbench("run", suite, "--out", tmp_path / "run", "--json", "--only", "*/identity/*") == 0
    out, err = capfd.readouterr()
    document = json.loads(out)
    assert {row["purifier"] for row in document["rows"]} == {"identity"}
    assert [line.split()[0] for line in err.splitlines()] == ["[1/2]", "[2/2]"]
    assert all(" of 8 in " in line for line in err.splitlines())


def test_off_a_terminal_a_cell_is_one_line_and_nothing_is_drawn(suite, tmp_path, capfd):
    assert rbench("run", suite, "--out", tmp_path / "run", "--only", "*/a-purifier*/an-attack*") == 0
    out, err = capfd.readouterr()
    cell, wrote, then = err.splitlines()
    assert wrote == f"wrote {tmp_path / 'run'}: leaderboard.md, leaderboard.csv, leaderboard.html"
    assert then.startswith(f"next: `rbench verify {tmp_path / 'run'}` ")
    assert cell.startswith(
        "[1/1] bundled:fashion-cnn/a-purifier-with-a-very-long-label/an-attack-with-a-long-label: robust "
    )
    assert "\x1b" not in out + err
    assert max(map(len, out.splitlines())) <= 80


def test_off_a_terminal_a_long_run_says_what_it_is_at(suite, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(following, "TOLD_FIRST", 0.0)
    monkeypatch.setattr(following, "TOLD_EVERY", 0.0)
    arguments = ["--out", tmp_path / "run", "--only", "*/identity/an-attack*", "--workers", "0"]
    assert rbench("run", suite, *arguments) == 0
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "at work: loading and checking the models"
    assert "at work: 1/1 bundled:fashion-cnn/identity/an-attack-with-a-long-label: 8 of 8 samples of all cells" in lines
    assert sum(" of 8 in " in line for line in lines) == 1


def test_a_run_whose_next_cell_takes_long_says_what_has_ended(suite, tmp_path, capfd, monkeypatch):
    class Slow(following.Following):
        def at(self, title, *rest):
            super().at(title, *rest)
            if title == "1 of 2 cells ended":
                time.sleep(0.3)

    monkeypatch.setattr(following, "Following", Slow)
    monkeypatch.setattr(following, "TOLD_FIRST", 0.1)
    monkeypatch.setattr(following, "TOLD_EVERY", 0.1)
    assert rbench("run", suite, "--out", tmp_path / "run", "--only", "*/identity/*", "--workers", "0") == 0
    assert "at work: 1 of 2 cells ended: 8 of 16 samples of all cells" in capfd.readouterr().err.splitlines()


def test_what_is_slow_to_verify_says_so_too(finished, capfd, monkeypatch):
    monkeypatch.setattr(following, "TOLD_FIRST", 0.0)
    monkeypatch.setattr(following, "TOLD_EVERY", 0.0)
    assert rbench("verify", finished, "--workers", "0", "--survivors", "0") == 0
    assert "at work: verifying: 1 of 2 rows judged again" in capfd.readouterr().err.splitlines()


def test_the_leaderboard_is_written_as_it_is_shown(suite, finished, capfd):
    assert rbench("run", suite, "--out", finished, "--json") == 0
    out, err = capfd.readouterr()
    shown = {row["purifier"]: row["robust_accuracy"] for row in json.loads(out)["rows"]}
    with (finished / "leaderboard.csv").open(newline="") as file:
        kept = {row["purifier"]: float(row["robust_accuracy"]) for row in csv.DictReader(file)}
    assert shown == pytest.approx(kept)
    assert err == f"nothing to do: all 4 cells are in {finished}\n"


@pytest.mark.parametrize(
    ("text", "arguments", "place", "found"),
    [
        (SUITE.replace("eps: 0.05", "eps: 8"), [], "shown.yaml:3:27: threat.eps", "8"),
        (SUITE.replace("noise", "nosie"), [], "shown.yaml:8:5: attacks[1]", None),
        ("suite: [", [], "shown.yaml:2:1", None),
        (SUITE, ["--only", "zzz"], "--only zzz", None),
        (SUITE, ["--device", "tpu"], "--device", "'tpu'"),
        (SUITE, ["--out", "shown.yaml"], "--out: shown.yaml", "a file"),
        (SUITE, ["--set", "attacks[0].steps=no"], "--set attacks[0].steps=no: attacks[0].steps", "the text 'no'"),
    ],
)
def test_a_wrong_run_is_one_line_and_2(tmp_path, monkeypatch, capfd, text, arguments, place, found):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shown.yaml").write_text(text)
    assert rbench("run", "shown.yaml", *arguments) == 2
    out, line = capfd.readouterr()
    assert out == ""
    assert line.startswith(f"error: {place}: ")
    assert len(line.splitlines()) == 1
    assert rbench("run", "shown.yaml", *arguments, "--json") == 2
    out, err = capfd.readouterr()
    error = json.loads(out)["error"]
    assert (error["place"], error["found"]) == (place, found)
    assert err == line == f"error: {error['message']}\n"


def test_an_option_that_is_none_exits_with_2(suite, capfd):
    for arguments in (["--redo", "some"], ["--batch-size", "0"], ["--limit", "0"], ["--wrokers", "2"]):
        assert rbench("run", suite, *arguments) == 2
        assert "Traceback" not in capfd.readouterr().err


def test_a_folder_that_cannot_be_written_exits_with_3(suite, tmp_path, capfd):
    (tmp_path / "file").touch()
    assert rbench("run", suite, "--out", tmp_path / "file" / "run", "--json") == 3
    out, err = capfd.readouterr()
    error = json.loads(out)["error"]
    assert error["place"].startswith(str(tmp_path / "file" / "run"))
    assert "cannot be written" in error["problem"]
    assert len(err.splitlines()) == 1


def test_a_report_that_cannot_be_written_is_one_document_for_programs(finished, tmp_path, capfd):
    (tmp_path / "file").touch()
    assert rbench("report", finished, "--out", tmp_path / "file" / "page", "--json") == 3
    error = json.loads(capfd.readouterr().out)["error"]
    assert error["place"] == str(tmp_path / "file" / "page")
    assert error["problem"].startswith("cannot be written")


def test_help_names_every_option_and_fits_the_screen(capsys):
    assert rbench("run", "--help") == 0
    out = capsys.readouterr().out
    for option in ("--out", "--only", "--limit", "--redo", "--device", "--batch-size", "--set", "--json"):
        assert option in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_poor_terminal_without_a_home_is_fine(suite, tmp_path):
    poor = {"HOME": None, "COLUMNS": "20", "TERM": "dumb", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    text = suite.read_text().replace("a-purifier-with-a-very-long-label", "café")
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    done = subprocess.run(
        command("run", "s.yaml", "--only", "*/caf*/noise"),
        cwd=tmp_path,
        env=environment(**poor),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"caf" in done.stdout
    assert (done.stdout + done.stderr).isascii()
    assert (tmp_path / "runs" / "shown" / "leaderboard.md").read_text(encoding="utf-8").count("café") >= 1


def test_a_reader_that_goes_away_does_no_harm(suite, finished):
    line = f"{sys.executable} -m rbench run {suite} --out {finished} | head -1"
    piped = subprocess.run(line, shell=True, env=environment(), capture_output=True, text=True)
    assert piped.stdout.startswith("fashion-mnist-mini (8 samples)")
    assert "Traceback" not in piped.stderr
