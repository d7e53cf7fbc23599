"""`rbench run --fail-under` and `assert_robust_accuracy`: a row below its floor is exit code 1, after everything is written."""

import json

import pytest
from made_runs import Made
from parts import refused, some
from small_runs import rbench

from rbench.results.floors import Floor, floor_of, require_known, tried
from rbench.results.runs import read_runs
from rbench.results.table import table
from rbench.testing import assert_robust_accuracy

SUITE = """\
suite: watched
dataset: {name: fashion-mnist-mini, samples: 4}
threat: {norm: Linf, eps: 0.2}
backbones: [{name: "bundled:fashion-cnn", as: cnn}]
purifiers: [{name: gaussian-blur, as: blur}]
attacks: [{name: pgd, steps: 2}]
"""
NO_GRADIENT = {"reaches_input": True, "zero_gradient_share": 1.0, "non_finite_gradient_share": 0.0, "slope_error": 0.01}
ROWS = [("cnn", "identity"), ("cnn", "blur")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    (folder / "watched.yaml").write_text(SUITE)
    assert rbench("run", folder / "watched.yaml", "--out", folder / "run") == 0
    return folder


@pytest.fixture
def run(finished, capsys):
    def again(*floors):
        options = [word for floor in floors for word in ("--fail-under", floor)]
        for path in (finished / "run").glob("leaderboard.*"):
            path.unlink()
        code = rbench("run", finished / "watched.yaml", "--out", finished / "run", "--json", *options)
        printed = capsys.readouterr()
        return code, json.loads(printed.out), printed.err

    return again


def test_rows_at_their_floors_change_nothing_and_are_told(run):
    code, document, err = run("blur=0", "cnn/identity=0.0")
    assert code == 0
    lines = [line for line in err.splitlines() if line.startswith("--fail-under: ")]
    assert [line.split()[1] for line in lines] == ["cnn/blur", "cnn/identity"]
    assert all(line.endswith(" is at least 0") for line in lines)
    assert len(document["rows"]) == 2


def test_a_row_below_its_floor_is_exit_code_1_after_everything_is_written(run, finished):
    code, document, err = run("blur=1", "identity=0.99")
    has = {row["purifier"]: row["robust_accuracy"] for row in document["rows"]}
    assert code == 1
    assert (finished / "run" / "leaderboard.csv").exists()
    lines = [line for line in err.splitlines() if line.startswith("--fail-under: ")]
    assert len(lines) == 2
    assert lines[0].startswith(f"--fail-under: cnn/blur (Linf 0.2): robust accuracy {has['blur']:.4g} (95 % ")
    assert lines[0].endswith(" is under 1")


@pytest.mark.parametrize(
    ("floor", "parts"),
    [
        ("blurr=0.4", {"place": "--fail-under", "remedy": "Did you mean 'blur'?"}),
        ("zzz=0.4", {"remedy": "There are: identity, blur."}),
        ("blur", {"remedy": some("jpeg=0.4")}),
        ("blur=40", {"found": "'40'", "remedy": some("0.4 for 40 %")}),
        ("blur=nan", {"found": "'nan'"}),
        ("=0.4", {}),
    ],
)
def test_a_floor_that_makes_no_sense_is_bad_input_before_anything_runs(run, floor, parts):
    code, document, _ = run(floor)
    assert code == 2
    with refused(**parts):
        require_known([floor_of(floor)], ROWS)
    assert document["error"]["exit_code"] == 2


def test_a_row_that_is_blocked_is_below_any_floor_and_a_sweep_is_held_row_by_row(tmp_path):
    made = Made(tmp_path / "run")
    made.done("pgd", clean=[1, 1, 1, 1], robust=[1, 1, 0, 0])
    made.done("pgd", clean=[1, 1, 1, 1], robust=[1, 0, 0, 0], cell_changes={"eps": "16/255"})
    made.other("pgd", "failed", purifier="median")
    board = table(read_runs([made.root]))
    assert [one.stands for one in tried(board, [Floor("jpeg", 0.25)])] == [True, True]
    (fell,) = (one for one in tried(board, [Floor("jpeg", 0.5)]) if not one.stands)
    assert fell.line.startswith("cnn/jpeg (Linf 16/255): robust accuracy 0.25")
    (one,) = tried(board, [Floor("median", 0.0)])
    assert not one.stands
    assert "no robust accuracy (failed: pgd)" in one.line
    (one,) = tried(board, [Floor("gone", 0.0)])
    assert (one.stands, one.line) == (False, "gone: the leaderboard has no such row")


@pytest.mark.parametrize(("floor", "stands"), [(0.0, True), (0.01, False)])
def test_what_is_left_under_attacks_that_could_not_work_is_no_floor(tmp_path, floor, stands):
    made = Made(tmp_path / "run")
    made.done("pgd", clean=[1, 1, 1, 1], robust=[1, 1, 1, 1], record_changes={"audit": NO_GRADIENT})
    board = table(read_runs([made.root]))
    assert "provisional" in board.rows()[0]["flags"]
    (one,) = tried(board, [Floor("jpeg", floor)])
    assert one.stands == stands
    assert ("Add a black-box attack" in one.line) != stands


def test_the_assertion_of_a_test_says_which_row_has_what(finished):
    given = {"suite": finished / "watched.yaml", "out": finished / "run"}
    assert_robust_accuracy(row="blur", at_least=0.0, **given)
    with pytest.raises(AssertionError, match=r"cnn/blur \(Linf 0\.2\): robust accuracy .* is under 1"):
        assert_robust_accuracy(row="cnn/blur", at_least=1, **given)
    with refused(place="row", remedy="Did you mean 'blur'?"):
        assert_robust_accuracy(row="blurr", at_least=0.1, **given)
    with refused(place="at_least"):
        assert_robust_accuracy(row="blur", at_least=40, **given)
