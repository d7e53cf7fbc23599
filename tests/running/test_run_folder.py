"""A run folder is new, empty or rbench's own, and the given suite is never what is written."""

import json
import os
from pathlib import Path

import pytest
from parts import refused, some
from small_runs import rbench

from rbench.results import disk
from rbench.results.output import require_own, same_file
from rbench.running.resume import open_run
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

FOLDERS = {"records", "samples", "images", "gallery", "chunks", "audits"}
RUN = """\
# mine, with a word of mine
suite: mine
dataset: {name: fashion-mnist-mini, samples: 4}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
attacks: [noise]
"""


def content(root):
    """Every file and folder below, with its bytes and time of change."""
    paths = sorted(root.rglob("*"))
    return {str(p.relative_to(root)): (p.read_bytes(), p.stat().st_mtime_ns) if p.is_file() else None for p in paths}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder of the user's, with a suite that has comments, in which the command is given."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "suite.yaml").write_text(RUN)
    monkeypatch.chdir(root)
    return root


@pytest.mark.parametrize("out", [".", "./", "../project", "../link", "../project/sub/..", "{root}"])
def test_the_folder_of_the_users_own_suite_is_refused_before_anything_is_written(project, capfd, out):
    (project / "sub").mkdir()
    (project.parent / "link").symlink_to(project)
    before = content(project)
    assert rbench("run", "suite.yaml", "--out", out.format(root=project), "--json") == 2
    printed = capfd.readouterr()
    error = json.loads(printed.out)["error"]
    assert error["found"] == "suite.yaml"
    assert Path(error["place"]).samefile(project)
    assert "--out DIR" in error["remedy"]
    assert len(printed.err.splitlines()) == 1
    assert content(project) == before


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["notes.md"], "notes.md"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
        (["records/x.json"], "records"),  # without cells.jsonl nobody knows whose they are
        (["theory/theory.md"], "theory"),
        (["cells.jsonl/x"], "cells.jsonl"),
        ([".git/HEAD"], ".git"),
        (["run.lock", "line\nbreak"], "'line\\nbreak'"),
    ],
)
def test_a_folder_that_holds_something_else_is_refused_by_what_is_in_it(tmp_path, files, found):
    root = tmp_path / "used"
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    before = content(root)
    with refused(place=str(root), found=found, remedy=some("--out DIR")):
        require_own(root)
    assert content(root) == before


@pytest.mark.parametrize(
    "files",
    [
        [],
        [".gitkeep"],
        [".DS_Store", ".suite.yaml.123-0123abcd.tmp"],
        ["cells.jsonl", "suite.yaml", "notes.md"],
        ["points.jsonl", "theory.md"],
        ["theory/points.jsonl", "theory/theory.md"],
        ["run.lock"],
    ],
    ids=lambda files: " ".join(files) or "empty",
)
def test_a_new_or_empty_folder_and_one_of_rbench_are_taken(tmp_path, files):
    root = tmp_path / "out"
    require_own(root)
    (root / "images").mkdir(parents=True)
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    require_own(root)


class Killed(BaseException):
    """The process died here."""


class Mortal:
    """Counts the operations of the disk; from one of them on the process is dead."""

    def __init__(self, monkeypatch):
        self.count, self.die_at = 0, None
        for name, operation in vars(disk).items():
            if getattr(operation, "__module__", "") == disk.__name__:
                monkeypatch.setattr(disk, name, self.counted(operation))

    def counted(self, operation):
        def run(*arguments):
            self.count += 1
            if self.die_at is not None and self.count >= self.die_at:
                raise Killed
            return operation(*arguments)

        return run


def test_a_start_that_was_killed_at_any_operation_of_the_disk_is_gone_on_from(write, tmp_path, monkeypatch):
    planned, mortal = plan(load_suite(write())), Mortal(monkeypatch)
    with open_run(planned, tmp_path / "whole"):
        operations = mortal.count
    expected = content(tmp_path / "whole").keys()
    assert operations > 15
    for die_at in range(1, operations + 1):
        root = tmp_path / f"run{die_at}"
        mortal.count, mortal.die_at = 0, die_at
        with pytest.raises(Killed), open_run(planned, root):
            pass
        mortal.die_at = None
        with open_run(planned, root):
            pass
        assert content(root).keys() == expected


def test_cells_come_before_the_suite_so_that_a_suite_alone_is_the_users(write, tmp_path, monkeypatch):
    written = []
    rename = disk.rename
    monkeypatch.setattr(disk, "rename", lambda source, target: (written.append(target.name), rename(source, target)))
    with open_run(plan(load_suite(write())), tmp_path / "run"):
        pass
    assert written == ["cells.jsonl", "suite.yaml"]


@pytest.fixture
def own(write, tmp_path):
    """A run folder, its suite edited by hand since: a comment, and another number."""
    root = tmp_path / "run"
    with open_run(plan(load_suite(write())), root):
        pass
    text = "# what I think of it\n" + (root / "suite.yaml").read_text().replace("steps: 10", "steps: 11")
    (root / "suite.yaml").write_text(text)
    return root


@pytest.mark.parametrize(
    "spelled", ["run/suite.yaml", "run/../run/suite.yaml", "link.yaml", "run/hard.yaml", "{root}/suite.yaml"]
)
def test_a_suite_that_is_run_in_its_own_folder_stays_as_it_was_written(own, tmp_path, spelled):
    (tmp_path / "link.yaml").symlink_to(own / "suite.yaml")
    os.link(own / "suite.yaml", own / "hard.yaml")
    given, text = Path(spelled.format(root=own)), (own / "suite.yaml").read_text()
    planned = plan(load_suite(given))
    with open_run(planned, own, given) as folder:
        assert [cell["id"] for cell in folder.read_cells()] == [cell.id for cell in planned.cells]
    assert (own / "suite.yaml").read_text() == text
    again = plan(load_suite(own / "suite.yaml"))
    assert [cell.id for cell in again.cells] == [cell.id for cell in planned.cells]


def test_another_suite_is_written_over_the_one_that_rbench_wrote(own, write, tmp_path):
    given = Path(write())
    with open_run(plan(load_suite(given)), own, given):
        pass
    assert "what I think" not in (own / "suite.yaml").read_text()
    assert "# " not in (own / "suite.yaml").read_text()


@pytest.mark.parametrize(("overrides", "limit"), [(["attacks[0].steps=3"], None), ([], 2)])
def test_its_own_suite_under_overrides_is_refused_because_it_could_not_say_so(own, overrides, limit):
    before, given = content(own), own / "suite.yaml"
    planned = plan(load_suite(given, overrides), limit=limit)
    place, remedy = str(given), some("give another --out")
    with refused(place=place, problem=some("--set or --limit"), remedy=remedy), open_run(planned, own, given):
        pass
    assert content(own) == before


def test_overrides_that_change_nothing_are_fine(own):
    given = own / "suite.yaml"
    with open_run(plan(load_suite(given, ["attacks[0].steps=11"]), limit=8), own, given):
        pass


def test_one_file_is_known_by_any_name(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    assert same_file(tmp_path / "a", tmp_path / "." / ".." / tmp_path.name / "a")
    assert not same_file(tmp_path / "a", tmp_path / "b")
    assert not same_file(tmp_path / "a", tmp_path / "gone")


def test_a_run_in_the_folder_of_its_suite_goes_from_the_command_line(project, capfd):
    assert rbench("run", "suite.yaml", "--out", "run") == 0
    assert (project / "suite.yaml").read_text() == RUN
    commented = "# kept\n" + (project / "run" / "suite.yaml").read_text()
    (project / "run" / "suite.yaml").write_text(commented)
    capfd.readouterr()
    assert rbench("run", "run/suite.yaml", "--out", "run") == 0
    assert "nothing to do: all 1 cells are in run" in capfd.readouterr().err
    assert (project / "run" / "suite.yaml").read_text() == commented
    assert {p.name for p in (project / "run").iterdir() if p.is_dir()} == FOLDERS
    assert rbench("verify", "run", "--offline") == 0
