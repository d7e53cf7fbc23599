"""Rows compared on the same samples: the four counts, the tests and their corrections, by hand."""

import json

import numpy as np
import pytest
from made_runs import Made
from scipy.stats import binomtest

from rbench.cli.main import main
from rbench.errors import InputError
from rbench.results.compare import compare, holm, samples_needed
from rbench.results.runs import read_runs
from rbench.results.table import table

N = 200
EVERY = np.ones(N, bool)


def right(*spans):
    found = np.zeros(N, bool)
    for start, stop in spans:
        found[start:stop] = True
    return found


@pytest.fixture
def folder(tmp_path):
    made = Made(tmp_path)
    for purifier, robust in (("a", right((0, 100))), ("b", right((20, 90), (150, 160))), ("c", right((0, 99)))):
        made.done("pgd", clean=EVERY, robust=robust, cell_changes={"purifier": purifier})
    made.done("pgd", clean=EVERY, robust=EVERY, cell_changes={"purifier": "a", "eps": "4/255"})
    return tmp_path


def said(capsys, *arguments):
    """How a command ended, and what it printed."""
    with pytest.raises(SystemExit) as done:
        main([str(one) for one in arguments])
    return done.value.code or 0, capsys.readouterr().out


def pairs(folder, *patterns):
    return compare(table(read_runs([folder])), patterns)


def test_the_four_counts_and_the_tests_of_a_pair(folder):
    (found,) = pairs(folder, "a", "b")
    assert (found.first, found.second) == ("cnn/a", "cnn/b")
    assert (found.both, found.only_first, found.only_second, found.neither) == (70, 30, 10, 90)
    assert found.difference.value == pytest.approx(0.1)
    assert found.difference.low < 0.1 < found.difference.high
    assert found.p_value == found.holm == pytest.approx(binomtest(10, 40).pvalue)


def test_all_pairs_are_corrected_together_and_other_threats_are_left_out(folder):
    found = pairs(folder)
    assert len(found) == 3
    assert [one.holm for one in found] == holm([one.p_value for one in found])
    assert max(one.holm for one in found) <= 1


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.02]) == [0.02]


def test_samples_needed_by_hand():
    """psi 0.2, d 0.1: ((1.959964 sqrt 0.2 + 0.841621 sqrt 0.19) / 0.1)^2 = 154.6."""
    assert samples_needed(0.15, 0.05) == 155
    assert samples_needed(0.05, 0.15) == 155
    assert samples_needed(0.1, 0.1) is None


def test_the_samples_needed_give_the_power_that_was_asked_for():
    n, rng = samples_needed(0.15, 0.05), np.random.default_rng(0)
    counts = rng.multinomial(n, [0.15, 0.05, 0.8], size=2000)
    rejected = [binomtest(int(min(a, b)), int(a + b)).pvalue < 0.05 for a, b, _ in counts if a + b]
    assert np.mean(rejected) == pytest.approx(0.8, abs=0.06)  # the exact test is a little below its level


def test_what_cannot_be_compared_is_said_in_one_line(folder):
    with pytest.raises(InputError, match=r"'jpg' matches no row.*cnn/a, cnn/c, cnn/b"):
        pairs(folder, "jpg")
    with pytest.raises(InputError, match="nothing to compare"):
        pairs(folder, "b")


def test_the_command_prints_eighty_columns_and_json(folder, capsys):
    for arguments in (["compare", str(folder), "a", "b"], ["compare", str(folder), "*/a", "c", "--json"]):
        with pytest.raises(SystemExit) as done:
            main(arguments)
        assert not done.value.code
    shown, _, content = capsys.readouterr().out.partition("[\n")
    assert "both 70, only the first 30, only the second 10, neither 90" in " ".join(shown.split())
    assert "they differ" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert json.loads("[\n" + content)[0]["second"] == "cnn/c"


def test_a_row_of_two_folders_is_compared_with_itself(tmp_path, capsys):
    for name, robust in (("claim", right((0, 100))), ("again", right((0, 90)))):
        made = Made(tmp_path / name)
        made.done("pgd", clean=EVERY, robust=robust, cell_changes={"purifier": "a"})
        made.done("pgd", clean=EVERY, robust=EVERY, cell_changes={"purifier": "b"})
    code, shown = said(capsys, "compare", tmp_path / "claim", tmp_path / "again", "a", "--json")
    (found,) = json.loads(shown)
    assert code == 0
    assert [found["first"], found["second"]] == [f"{tmp_path / 'claim'}: cnn/a", f"{tmp_path / 'again'}: cnn/a"]
    assert (found["both"], found["only_first"], found["only_second"], found["neither"]) == (90, 10, 0, 100)
    code, shown = said(capsys, "compare", tmp_path / "claim", tmp_path / "again", "--json")
    assert sorted(one["both"] for one in json.loads(shown)) == [90, 200]


def test_a_folder_without_records_that_has_the_name_of_a_row_is_the_row(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    code, shown = said(capsys, "compare", ".", "a", "b", "--json")
    assert code == 0
    assert [(one["first"], one["second"]) for one in json.loads(shown)] == [("cnn/a", "cnn/b")]


def test_a_comparison_shows_itself_in_lines(folder):
    (found,) = pairs(folder, "a", "b")
    assert repr(found).splitlines()[:2] == ["cnn/a", "  against cnn/b"]


def test_a_comparison_without_a_folder_says_what_to_name(capsys):
    with pytest.raises(SystemExit) as done:
        main(["compare", "jpeg", "cropd"])
    assert done.value.code == 2
    assert "name a run folder first" in capsys.readouterr().err


def test_rows_that_agree_on_every_sample_are_not_said_to_be_equal_for_certain(tmp_path):
    """Where no sample differs, a share of up to p has escaped all n with probability (1 - p)^n >= 0.025."""
    made = Made(tmp_path)
    for purifier, robust in (("a", ~EVERY), ("b", ~EVERY), ("c", EVERY)):
        made.done("pgd", clean=EVERY, robust=robust, cell_changes={"purifier": purifier})
    (same,) = pairs(tmp_path, "a", "b")
    assert (1 - same.difference.high) ** N == pytest.approx(0.025)
    assert same.difference.low == -same.difference.high
    assert same.needed is None
    (apart,) = pairs(tmp_path, "c", "b")
    assert (1 - (1 - apart.difference.low) / 2) ** N == pytest.approx(0.025)
    assert apart.difference.high == 1
