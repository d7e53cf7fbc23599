"""The leaderboard says what was measured, and says so where it cannot."""

import numpy as np
import pandas as pd
import pytest
from costs import times_as_long
from made_runs import Made, columns, document, record

import rbench.results.frames as reader
from rbench.errors import InputError
from rbench.reports.console import text
from rbench.results.columns import COLUMNS
from rbench.results.record import Flag
from rbench.results.runs import read_runs
from rbench.results.statistics import wilson
from rbench.results.table import table
from rbench.suite.cell import JUDGE_VERSION

EVERY = [1, 1, 1, 1]


def rows(*roots):
    return table(read_runs(roots)).rows()


def by_purifier(*roots):
    return {row["purifier"]: row for row in rows(*roots)}


def behind(purifier, **changes):
    return {"cell_changes": {"purifier": purifier, **changes}}


def test_a_row_has_every_column_with_its_meaning(tmp_path):
    made = Made(tmp_path)
    made.done("pgd", clean=EVERY, robust=[1, 0, 0, 0], noise=[1, 1, 1, 0])
    made.done("blind", clean=EVERY, robust=[1, 1, 1, 0], noise=[1, 1, 1, 0], record_changes={"gradient": "blind"})
    leaderboard = table(read_runs([tmp_path]))
    assert list(leaderboard.frame.columns) == list(COLUMNS) == list(leaderboard.columns)
    (row,) = leaderboard.rows()
    interval = wilson(1, 4)
    assert row == {
        "rank": 1,
        "dataset": "toy",
        "backbone": "cnn",
        "purifier": "jpeg",
        "norm": "Linf",
        "eps": 8 / 255,
        "n": 4,
        "standard_accuracy": 1.0,
        "robust_accuracy": 0.25,
        "robust_low": interval.low,
        "robust_high": interval.high,
        "blind_robust_accuracy": 0.75,
        "strongest_attack": "pgd",
        "stochastic": False,
        "gradient": "exact",
        "flags": ("few-samples",),
        "verified": True,
        "status": "done",
        "noise_accuracy": 0.75,
        "cost_seconds": 4.0,
        "eps_text": "8/255",
        "draws": 1,
        "decide": "mean",
        "judge": str(JUDGE_VERSION),
        "group": row["group"],
    }


@pytest.mark.parametrize("status", ["failed", "cancelled", "missing"])
def test_a_cell_that_is_not_done_blocks_its_row_and_no_other(tmp_path, status):
    made = Made(tmp_path)
    made.done("pgd", clean=EVERY, robust=[1, 1, 0, 0])
    made.done("pgd", clean=EVERY, robust=[1, 0, 0, 0], **behind("blur"))
    made.other("square", status)
    made.plan()
    found = by_purifier(tmp_path)
    assert found["jpeg"]["status"] == f"{status}: square"
    for column in ("rank", "robust_accuracy", "robust_low", "robust_high", "strongest_attack", "gradient"):
        assert found["jpeg"][column] is None
    assert found["jpeg"]["standard_accuracy"] == 1
    assert (found["blur"]["rank"], found["blur"]["robust_accuracy"]) == (1, 0.25)


def test_a_row_without_a_single_result_is_shown_as_blocked(tmp_path):
    made = Made(tmp_path)
    made.other("pgd", "failed", error="sample 3: logits are NaN")
    made.other("square", "missing", eps="4/255")
    made.plan()
    first, second = rows(tmp_path)
    assert [first["eps_text"], second["eps_text"]] == ["4/255", "8/255"]
    assert first["eps"] == 4 / 255
    assert [first["n"], second["n"]] == [4, 4]
    assert [first["status"], second["status"]] == ["missing: square", "failed: pgd"]
    assert first["stochastic"] is None


def test_the_blind_figure_needs_its_own_cells_only(tmp_path):
    made = Made(tmp_path)
    made.done("soft", clean=EVERY, robust=[1, 1, 1, 0], record_changes={"gradient": "blind"})
    made.other("pgd", "failed")
    (row,) = rows(tmp_path)
    assert row["blind_robust_accuracy"] == 0.75
    made.other("harder", "failed", gradient="blind")
    (row,) = rows(tmp_path)
    assert row["blind_robust_accuracy"] is None


def test_equal_accuracies_share_a_rank_and_the_next_one_is_skipped(tmp_path):
    made = Made(tmp_path)
    for purifier, robust in {"a": [1, 0, 0, 0], "b": [1, 1, 0, 0], "c": [0, 0, 1, 1], "d": [0, 0, 0, 0]}.items():
        made.done("pgd", clean=EVERY, robust=robust, **behind(purifier))
    made.other("pgd", "failed", purifier="e")
    assert [(row["purifier"], row["rank"]) for row in rows(tmp_path)] == [
        ("b", 1),
        ("c", 1),
        ("a", 3),
        ("d", 4),
        ("e", None),
    ]


def test_other_radii_data_and_protocols_are_never_ranked_together(tmp_path):
    made = Made(tmp_path)
    made.done("pgd", clean=EVERY, robust=EVERY)
    made.done("pgd", clean=EVERY, robust=EVERY, **behind("jpeg", eps="4/255"))
    made.done("pgd", clean=EVERY, robust=EVERY, **behind("jpeg", dataset="other"))
    made.done("pgd", clean=EVERY, robust=EVERY, **behind("jpeg", decide="any"))
    made.done("pgd", clean=[1, 1], robust=[1, 1])
    made.done("pgd", clean=EVERY, robust=EVERY, **behind("blur"), record_changes={"sha256": "altered"})
    found = rows(tmp_path)
    assert len(found) == 6
    assert len({row["group"] for row in found}) == 6
    assert {row["rank"] for row in found} == {1}


def test_attacks_on_different_data_make_no_row(tmp_path):
    made = Made(tmp_path)
    made.done("a", clean=EVERY, robust=EVERY)
    made.done("b", clean=EVERY, robust=EVERY, record_changes={"sha256": "other"})
    (row,) = rows(tmp_path)
    assert row["robust_accuracy"] is None
    assert row["status"] == "mixed: a and b were judged on different data"


def test_attacks_on_different_weights_make_no_row(tmp_path):
    made = Made(tmp_path)
    for attack, weights in (("a", "1"), ("b", "2")):
        made.done(attack, clean=EVERY, robust=EVERY, record_changes={"provenance": {"weights_sha256": weights}})
    made.plan()
    (row,) = rows(tmp_path)
    assert row["robust_accuracy"] is None
    assert row["status"] == "mixed: a and b were run on different weights"


def test_one_broken_record_among_a_hundred_is_listed_and_the_others_are_shown(tmp_path):
    made = Made(tmp_path)
    for k in range(100):
        cell = made.done("pgd", clean=EVERY, robust=EVERY, **behind(f"purifier-{k}"))
    made.folder.record_path(cell["id"]).write_text('{"schema": 1,')
    made.plan()
    leaderboard = table(read_runs([tmp_path]))
    assert leaderboard.frame["robust_accuracy"].notna().sum() == 99
    (broken,) = leaderboard.broken
    assert cell["id"] in broken.path
    assert "not JSON" in broken.message
    assert leaderboard.rows()[-1]["status"] == "unreadable: pgd"
    (tmp_path / "cells.jsonl").unlink()
    leaderboard = table(read_runs([tmp_path]))
    assert len(leaderboard.frame) == 99
    assert len(leaderboard.broken) == 1


def test_broken_samples_block_their_row(tmp_path):
    made = Made(tmp_path)
    made.done("pgd", clean=EVERY, robust=EVERY)
    cell = made.done("square", clean=EVERY, robust=EVERY)
    made.folder.samples_path(cell["id"]).write_bytes(b"PAR1")
    leaderboard = table(read_runs([tmp_path]))
    assert leaderboard.rows()[0]["status"] == "unreadable: square"
    assert "samples" in leaderboard.broken[0].path


def test_a_deterministic_sample_is_right_or_wrong(tmp_path):
    made = Made(tmp_path)
    cell = document(samples=2)
    made.folder.finish(record(cell), {**columns([1, 1], [1, 1]), "robust": [0.5, 1.0]})
    leaderboard = table(read_runs([tmp_path]))
    assert "between 0 and 1" in leaderboard.broken[0].message
    assert leaderboard.rows()[0]["robust_accuracy"] is None


def test_records_of_an_older_plan_are_left_out_and_counted(tmp_path):
    made = Made(tmp_path)
    made.done("old", clean=EVERY, robust=[0, 0, 0, 0])
    made.cells.clear()
    made.done("new", clean=EVERY, robust=EVERY)
    made.plan()
    leaderboard = table(read_runs([tmp_path]))
    assert leaderboard.rows()[0]["robust_accuracy"] == 1
    assert "1 older records left out" in leaderboard.notes[0]


def test_a_cell_renamed_in_the_suite_has_its_new_name(tmp_path):
    made = Made(tmp_path)
    made.done("pgd", clean=EVERY, robust=EVERY)
    made.cells[0]["labels"] = {"purifier": "JPEG 75", "attack": "strong"}
    made.plan()
    (row,) = rows(tmp_path)
    assert (row["purifier"], row["strongest_attack"], row["backbone"]) == ("JPEG 75", "strong", "cnn")


def test_folders_are_read_together_and_a_cell_counts_once(tmp_path):
    first, second = Made(tmp_path / "a"), Made(tmp_path / "b")
    first.other("pgd", "failed")
    first.done("square", clean=EVERY, robust=[1, 1, 0, 0])
    second.done("pgd", clean=EVERY, robust=[1, 1, 1, 0])
    second.done("square", clean=EVERY, robust=[0, 0, 0, 0], record_changes={"result_hash": "1" * 64})
    leaderboard = table(read_runs([tmp_path / "a", tmp_path / "b"]))
    assert leaderboard.rows()[0]["robust_accuracy"] == 0.5
    assert "failed there" in leaderboard.notes[0]
    assert "another outcome" in leaderboard.notes[1]


def test_flags_of_all_records_are_flags_of_the_row(tmp_path):
    made = Made(tmp_path)
    made.done("a", clean=EVERY, robust=EVERY, record_changes={"flags": (Flag(name="unstable", value=0.7),)})
    made.done("b", clean=EVERY, robust=EVERY, record_changes={"flags": (Flag(name="not-logits"),)})
    leaderboard = table(read_runs([tmp_path]))
    assert leaderboard.rows()[0]["flags"] == ("not-logits", "unstable", "few-samples")
    doubts = {flag.name: flag for flag in leaderboard.doubts[0]}
    assert (doubts["unstable"].value, doubts["unstable"].attack) == (0.7, "a")
    assert doubts["few-samples"].value == 4


def test_an_empty_or_missing_folder_is_said_so(tmp_path):
    with pytest.raises(InputError, match="no records in it"):
        read_runs([tmp_path])
    with pytest.raises(InputError, match="no such folder"):
        read_runs([tmp_path / "none"])
    Made(tmp_path / "mine")
    with pytest.raises(InputError, match=f"no such folder. Did you mean {tmp_path / 'mine'}"):
        read_runs([tmp_path / "mime"])
    leaderboard = table(read_runs([tmp_path / "mine"]))
    assert leaderboard.rows() == []
    assert list(leaderboard.frame.columns) == list(COLUMNS)


def test_a_name_from_a_record_is_never_imported_or_opened(tmp_path, monkeypatch):
    made = Made(tmp_path / "run")
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    for purifier in ("trap", "trap:run", str(trap), "https://example.invalid/x", "!!python/object:trap.X"):
        made.done("pgd", clean=EVERY, robust=EVERY, **behind(purifier))
    made.plan()
    assert len(rows(made.root)) == 5
    assert not (tmp_path / "sprung").exists()


def test_the_frames_hold_cells_samples_and_rows(tmp_path):
    made = Made(tmp_path)
    made.done("pgd", clean=EVERY, robust=[1, 1, 0, 0])
    made.done("square", clean=EVERY, robust=[1, 0, 0, 0])
    made.other("apgd", "failed")
    frames = reader.read(tmp_path)
    assert frames.records["status"].tolist() == ["failed", "done", "done"]
    assert frames.records.set_index("attack").loc["pgd", "summary.robust_accuracy.value"] == 0.5
    assert len(frames.samples) == 8
    names = ["cell", "backbone", "purifier", "attack"]
    done = frames.records[frames.records["status"] == "done"]
    assert frames.samples[names].drop_duplicates().to_numpy().tolist() == done[names].to_numpy().tolist()
    by_cell = frames.samples.groupby("cell", observed=True)["robust"].mean()
    assert by_cell.to_dict() == {made.cells[0]["id"]: 0.5, made.cells[1]["id"]: 0.25}
    assert list(frames.samples["robust_predictions"].iloc[0]) == [frames.samples["label"].iloc[0]]
    assert len(frames.leaderboard) == 1
    assert not frames.broken


def test_the_frames_of_a_run_without_results_are_empty(tmp_path):
    Made(tmp_path)
    frames = reader.read(str(tmp_path))
    assert isinstance(frames.samples, pd.DataFrame)
    assert len(frames.records) == len(frames.samples) == len(frames.leaderboard) == 0


def test_sixteen_times_the_samples_are_reported_in_about_sixteen_times_the_time(tmp_path):
    rng, draws, shown = np.random.default_rng(0), 8, {}
    for n in (12_500, 200_000):
        made = Made(tmp_path / str(n))
        clean = rng.random((n, draws)) < 0.9
        for attack in ("a", "b"):
            robust = rng.random((n, draws)) < 0.4
            made.done(attack, clean=clean, robust=robust, record_changes={"stochastic": True})

    def report(n):
        leaderboard = table(read_runs([tmp_path / str(n)]))
        assert f"{n:,} samples" in text(leaderboard)
        (shown[n],) = leaderboard.rows()

    assert times_as_long(lambda: report(200_000), lambda: report(12_500), tries=3) < 24
    assert shown[200_000]["robust_high"] - shown[200_000]["robust_low"] < 0.005
