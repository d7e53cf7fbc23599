"""`rbench report` prints and writes the leaderboard, and fails loudly where a record is broken."""

import json
import subprocess
import sys

import pytest
import typer
from made_runs import Made
from typer.testing import CliRunner

from rbench.cli import report
from rbench.errors import InputError

EVERY = [1, 1, 1, 1]


@pytest.fixture
def made(tmp_path):
    run = Made(tmp_path / "run")
    run.done("pgd", clean=EVERY, robust=[1, 1, 1, 0])
    run.other("square", "failed", purifier="blur")
    return run


def invoke(*arguments):
    app = typer.Typer()
    app.command()(report.command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_it_prints_the_leaderboard_and_writes_it_into_the_folder(made):
    result = invoke(made.root)
    assert result.exit_code == 0
    assert "75.0" in result.output
    assert (made.root / "leaderboard.md").exists()
    assert (made.root / "leaderboard.csv").exists()


def test_it_writes_what_is_asked_for_where_it_is_asked_for(made, tmp_path):
    assert invoke(made.root, "--to", "csv", "--out", tmp_path / "new" / "place").exit_code == 0
    assert [path.name for path in (tmp_path / "new" / "place").iterdir()] == ["leaderboard.csv"]
    assert not list(made.root.glob("leaderboard.*"))


def test_several_folders_are_printed_together_and_written_only_on_request(made, tmp_path):
    other = Made(tmp_path / "other")
    other.done("pgd", clean=EVERY, robust=[1, 0, 0, 0], cell_changes={"purifier": "median"})
    result = invoke(made.root, other.root)
    assert result.exit_code == 0
    assert "jpeg" in result.output
    assert "median" in result.output
    assert not list(tmp_path.rglob("leaderboard.*"))
    assert "--out" in str(invoke(made.root, other.root, "--to", "md").exception)


def test_json_writes_no_file_unless_it_is_told_which_or_where(made, tmp_path):
    before = sorted(made.root.rglob("*"))
    assert invoke(made.root, "--json").exit_code == 0
    assert sorted(made.root.rglob("*")) == before
    assert invoke(made.root, "--json", "--out", tmp_path / "page").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == ["leaderboard.csv", "leaderboard.md"]
    assert invoke(made.root, "--json", "--to", "csv").exit_code == 0
    assert [path.name for path in made.root.glob("leaderboard.*")] == ["leaderboard.csv"]


def test_json_is_json_with_columns_rows_and_flags(made):
    result = invoke(made.root, "--json")
    content = json.loads(result.output)
    assert content["schema"] == 1
    assert content["columns"]["robust_accuracy"]["unit"] == "fraction"
    first, second = content["rows"]
    assert first["robust_accuracy"] == 0.75
    assert first["flags"][0]["name"] == "few-samples"
    assert second["status"] == "failed: square"
    assert second["robust_accuracy"] is None


def test_a_broken_record_is_exit_code_one_after_the_others_were_shown(made):
    (made.folder.record_path("abc")).write_text("{")
    result = invoke(made.root)
    assert result.exit_code == 1
    assert "75.0" in result.output
    assert "Not used (1)" in result.output
    assert (made.root / "leaderboard.md").exists()


def test_a_wrong_format_or_folder_prints_and_writes_nothing(made, tmp_path):
    for arguments in ((made.root, "--to", "docx"), (tmp_path / "none",)):
        result = invoke(*arguments)
        assert isinstance(result.exception, InputError)
        assert not result.output
    assert not list(made.root.glob("leaderboard.*"))


def test_reading_results_and_reporting_never_import_torch(made):
    code = """
import sys
import rbench.results.store, rbench.results.frames, rbench.cli.report
assert not {"scipy", "rich", "torch"} & set(sys.modules), "too early"
rbench.cli.report.command([__import__("pathlib").Path(sys.argv[1])])
assert not {"torch", "scipy.stats"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(made.root)], check=True, capture_output=True)


def test_the_verb_itself_is_light():
    code = (
        'import sys, rbench.cli.report; assert not {"pandas", "pyarrow", "scipy", "torch", "rich"} & set(sys.modules)'
    )
    subprocess.run([sys.executable, "-c", code], check=True)
