"""Folders of one suite that were run apart are joined in one."""

import json
import shutil

import pytest
from small_runs import SHORT, chunks, litter, outcome, rbench, running, unfinished, wait_for

from rbench.results.store import RunFolder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The suite run whole, and in two folders with some cells each."""
    root = tmp_path_factory.mktemp("apart")
    (root / "small.yaml").write_text(SHORT)
    for name, only in (("whole", "*"), ("one", "*/pgd"), ("two", "*/autoattack,*/pgd+eot")):
        assert rbench("run", root / "small.yaml", "--out", root / name, "--only", only) == 0
    return root


@pytest.fixture
def apart(runs, tmp_path):
    """Copies of them."""
    for name in ("whole", "one", "two"):
        shutil.copytree(runs / name, tmp_path / name)
    return tmp_path


def test_two_halves_are_the_whole(apart, capsys):
    assert rbench("merge", apart / "one", apart / "two") == 0
    assert "2 finished cells" in capsys.readouterr().err
    assert outcome(apart / "one") == outcome(apart / "whole")
    assert (apart / "one" / "leaderboard.md").read_text() == (apart / "whole" / "leaderboard.md").read_text()
    assert rbench("merge", apart / "one", apart / "two") == 0
    assert "0 finished cells" in capsys.readouterr().err


def test_what_both_have_stays_and_a_difference_is_told(apart, capsys):
    folder = RunFolder(apart / "whole")
    path = folder.record_path(next(iter(outcome(apart / "one"))))
    text = path.read_text()
    said = json.loads(text)["result_hash"]
    path.write_text(text.replace(said, "0" * 64))
    before = outcome(apart / "one")
    assert rbench("merge", apart / "one", apart / "whole") == 0
    assert "has other results" in capsys.readouterr().err
    assert before.items() <= outcome(apart / "one").items()


def test_finished_spans_of_unfinished_cells_are_taken(runs, tmp_path, capsys):
    ours = ("--only", "*/pgd+eot", "--batch-size", "2")
    with running("run", runs / "small.yaml", "--out", tmp_path / "half", *ours, until=2) as process:
        wait_for(lambda: len(chunks(tmp_path / "half")) >= 2, process)
    shutil.copytree(runs / "one", tmp_path / "one")
    assert rbench("merge", tmp_path / "one", tmp_path / "half") == 0
    assert "2 spans of others taken" in capsys.readouterr().err
    assert len(unfinished(tmp_path / "one")) == 2
    assert rbench("run", runs / "small.yaml", "--out", tmp_path / "one", *ours) == 0
    assert not litter(tmp_path / "one")


def test_folders_of_other_suites_and_no_folders_are_refused(apart, capsys):
    (apart / "small.yaml").write_text(SHORT.replace("steps: 10", "steps: 9"))
    assert rbench("run", apart / "small.yaml", "--out", apart / "other", "--only", "*/pgd") == 0
    assert rbench("merge", apart / "one", apart / "other") == 2
    assert "different suites" in capsys.readouterr().err
    assert rbench("merge", apart / "one") == 2
    assert rbench("merge", apart / "one", apart / "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err
