"""`rbench quickstart`: the suite of the package is that of the repository; run, verified, explained."""

import json
from pathlib import Path

import pytest
from cli_said import said

from rbench.cli import quickstart
from rbench.results.record import Record
from rbench.results.store import RunFolder

ROOT = Path(__file__).parents[2]
SMALL = """\
suite: quickstart
dataset: {name: fashion-mnist-mini, samples: 4}
threat: {norm: Linf, eps: 0.1}
backbones: ["bundled:fashion-cnn"]
purifiers: [identity, {name: jpeg, quality: 10}]
attacks:
  - {name: pgd, steps: 3, gradient: blind, as: pgd-blind}
  - {name: pgd, steps: 10, gradient: bpda, as: bpda}
"""


def test_the_suite_of_the_package_is_that_of_the_repository():
    """`cp suites/quickstart.yaml rbench/assets/quickstart.yaml` after a change."""
    assert quickstart.SUITE.read_bytes() == (ROOT / "suites/quickstart.yaml").read_bytes()


@pytest.fixture
def small(tmp_path, monkeypatch):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    monkeypatch.setattr(quickstart, "SUITE", path)
    monkeypatch.chdir(tmp_path)
    return path


def test_it_runs_verifies_and_ends_with_the_table_a_sentence_and_the_page(small, tmp_path, capsys):
    code, out, err = said(capsys, "quickstart", "--workers", "0", "--survivors", "2")
    assert code == 0, err
    root = tmp_path / "runs/quickstart"
    assert "[4/4]" in err
    assert "verifying:" in err
    lines = out.splitlines()
    assert lines[0].startswith("fashion-mnist-mini (4 samples)")
    assert lines[-1] == f"The page: {root / 'leaderboard.html'}"
    assert "How to read it: `robust` is what is left under every attack" in " ".join(lines)
    assert max(map(len, lines[:-1])) <= 80
    assert "UV" not in out
    assert (root / "leaderboard.html").is_file()
    folder = RunFolder(root)
    records = [folder.read_record(path.stem) for path in folder.record_paths()]
    assert all(isinstance(record, Record) and folder.is_verified(record.id) for record in records)
    code, out, err = said(capsys, "quickstart", "--workers", "0", "--survivors", "0", "--json")
    assert code == 0, err
    assert len(json.loads(out)["rows"]) == 2
    assert "nothing to do: all 4 cells" in err


def test_a_page_of_fewer_samples_is_written_anew_and_no_fault(small, tmp_path, capsys):
    rest = ("--workers", "0", "--survivors", "0")
    assert said(capsys, "quickstart", "--limit", "2", *rest)[0] == 0
    code, out, err = said(capsys, "quickstart", *rest)
    assert code == 0, out + err
    assert "(4 samples)" in out


def test_examples_that_do_not_hold_end_with_4(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("rbench.cli.verify.holds", lambda found, *, offline=False: False)
    code, out, err = said(capsys, "quickstart", "--workers", "0", "--survivors", "0")
    assert code == 4
    assert "The page:" in out
    assert "verification failed; `rbench verify runs/quickstart` says where" in err


def test_what_is_hidden_and_what_is_robust_are_told_from_the_table():
    class Found:
        def __init__(self, *rows):
            self.rows = lambda: [
                dict(zip(("purifier", "blind_robust_accuracy", "robust_accuracy"), row, strict=True)) for row in rows
            ]

    text = quickstart.reading(Found(("jpeg", 0.4, 0.0), ("cropd", 0.8, 0.7), ("median", None, None)))
    assert text.endswith("only hid the gradient, as jpeg: 40.0 % blind, 0.0 % robust.")
    assert quickstart.reading(Found()).endswith("only hid the gradient.")
