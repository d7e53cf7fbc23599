"""The committed results are what their records say, and the README shows them."""

import json
import re
import shutil
from pathlib import Path

import pytest
from small_runs import rbench

from rbench.reports.figures import drawn
from rbench.reports.html import html
from rbench.reports.markdown import markdown
from rbench.results.runs import read_runs
from rbench.results.store import RunFolder
from rbench.results.table import table
from rbench.suite.cell import JUDGE_VERSION
from rbench.verifying.verdict import offline

ROOT = Path(__file__).parents[1]
PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]*")
FOLDERS = sorted(path.parent for path in (ROOT / "results").glob("*/suite.yaml"))
CELLS = {folder: list(RunFolder(folder).read_cells() or ()) for folder in FOLDERS}
JUDGED_BY = {folder: {cell["judge"] for cell in cells} for folder, cells in CELLS.items()}
UNVERIFIED = {"diffpure-fashion": {"diffpure"}}
"""Rows of folders that this rbench can judge again and that are not verified; `results/README.md` says why."""


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_committed_leaderboard_follows_from_its_records(folder):
    made = table(read_runs([folder]))
    assert not made.broken
    assert (folder / "leaderboard.md").read_text() == markdown(made)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_every_planned_cell_is_committed_and_done(folder):
    run = RunFolder(folder)
    planned = {cell["id"] for cell in CELLS[folder]}
    assert planned == {path.stem for path in run.record_paths()}
    for path in run.record_paths():
        record = run.read_record(path.stem)
        assert record.status == "done"
        run.read_samples(record)
    corrupted = read_runs([folder]).corrupted
    assert {cell.status for cell in corrupted} <= {"done"}
    assert planned or corrupted


KEPT = [folder for folder in FOLDERS if (folder / "images").is_dir()]
JUDGED = [
    folder
    for folder in KEPT
    if JUDGED_BY[folder] == {JUDGE_VERSION}
    and {cell["dataset"]["name"] for cell in CELLS[folder]} == {"fashion-mnist-mini"}
]
"""Folders that this rbench can judge again with the data that it has."""

SOME = {
    "fashion-linf": ["identity/pgd-blind", "jpeg/bpda+eot", "cropd/pgd"],
    "quickstart": ["identity/pgd-blind", "jpeg/bpda", "cropd/apgd"],
    "classic-breaks": ["identity/adaptive", "jpeg/adaptive", "bit-depth/adaptive"],
    "convergence": ["identity/fgsm", "dae/apgd"],
    "diffpure-fashion": ["identity/blind", "identity/exact", "diffpure (fixed noise)/exact"],
}
"""Cells that are soon judged again; `make soak` judges all. Those behind a random defence take 80 draws of four images a sample."""


def _copied(cells, folder, root):
    """A folder with some cells of another, not verified."""
    for cell in cells:
        for path in folder.glob(f"*/{cell['id']}.*"):
            if path.parent.name != "verified":
                (root / path.parent.name).mkdir(parents=True, exist_ok=True)
                shutil.copy(path, root / path.parent.name)
    shutil.copy(folder / "suite.yaml", root)
    RunFolder(root).write_cells(CELLS[folder])


def _verified_as_committed(cells, folder, root, capsys):
    """Judges some cells of a committed folder again; their evidence is the committed one."""
    _copied(cells, folder, root)
    assert rbench("verify", root, "--survivors", "0") == 0, capsys.readouterr()
    for cell in cells:
        again, committed = (json.loads((one / "verified" / f"{cell['id']}.json").read_text()) for one in (root, folder))
        for field in ("record_sha256", "samples_sha256", "images_sha256", "examples"):
            assert again[field] == committed[field]
        assert again["largest_distance"] == pytest.approx(committed["largest_distance"])


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("folder", JUDGED, ids=lambda path: path.name)
def test_all_that_is_committed_as_verified_is_verified_again(folder, tmp_path, capsys):
    cells = [cell for cell in CELLS[folder] if (folder / "verified" / f"{cell['id']}.json").exists()]
    _verified_as_committed(cells, folder, tmp_path / "verified", capsys)
    whole = shutil.copytree(folder, tmp_path / "whole", ignore=shutil.ignore_patterns("verified"))
    shutil.copytree(tmp_path / "verified" / "verified", whole / "verified")
    made = table(read_runs([whole]))
    assert set(made.frame["purifier"][~made.frame["verified"]]) == UNVERIFIED.get(folder.name, set())
    assert (folder / "leaderboard.md").read_text() == markdown(made)


@pytest.mark.parametrize("name", [folder.name for folder in JUDGED])
def test_some_cells_of_committed_results_are_verified_again(name, tmp_path, capsys):
    folder, titles = ROOT / "results" / name, SOME[name]
    chosen = [cell for cell in CELLS[folder] if "{purifier}/{attack}".format(**cell["labels"]) in titles]
    assert len(chosen) == len(titles)
    _verified_as_committed(chosen, folder, tmp_path, capsys)


@pytest.mark.parametrize("folder", JUDGED, ids=lambda path: path.name)
def test_a_row_that_is_not_verified_is_known_and_the_text_says_which(folder):
    missing = {
        cell["labels"]["purifier"]
        for cell in CELLS[folder]
        if not (folder / "verified" / f"{cell['id']}.json").exists()
    }
    assert missing == UNVERIFIED.get(folder.name, set())
    assert "DiffPure with fresh noise" in (ROOT / "results/README.md").read_text().split("##")[0]


@pytest.mark.parametrize(
    "folder",
    [folder for folder in FOLDERS if JUDGED_BY[folder] and JUDGE_VERSION not in JUDGED_BY[folder]],
    ids=lambda path: path.name,
)
def test_committed_results_that_cannot_be_judged_again_are_no_forgeries(folder, capsys):
    assert rbench("verify", folder, "--offline") == 0
    assert "not judged: judged by version" in capsys.readouterr().out


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_files_of_committed_results_agree(folder):
    found = offline(folder)
    assert found.verdicts
    assert not found.broken
    kept = [
        fault for one in found.verdicts for fault in one.faults if folder in KEPT or not fault.startswith("images:")
    ]
    assert kept == []


def test_page_and_figures_of_all_committed_results_follow_from_the_records(monkeypatch):
    monkeypatch.chdir(ROOT)  # the page names folders as they were given
    everything = table(read_runs([folder.relative_to(ROOT) for folder in FOLDERS]))
    shown = (ROOT / "results/leaderboard.html").read_text(encoding="utf-8")
    # The pictures are the same; how they are compressed is a matter of the library's version.
    assert PICTURE.sub("", shown) == PICTURE.sub("", html(everything))
    for folder, found in (
        (ROOT / "results", everything),
        (ROOT / "results/quickstart", table(read_runs([ROOT / "results/quickstart"]))),
    ):
        pages = {page: data for figures in drawn(found).values() for page, data in figures.items()}
        assert {path.stem for path in (folder / "figures").glob("*.csv")} == set(pages)
        for page, data in pages.items():
            path = folder / "figures" / f"{page}.csv"
            assert path.read_text(encoding="utf-8") == data.to_csv(index=False, lineterminator="\n")
            assert all(path.with_suffix(f".{kind}").exists() for kind in ("png", "svg", "pdf"))


def test_the_readme_shows_the_committed_quickstart_table():
    shown = (ROOT / "README.md").read_text().split("<!-- quickstart -->")[1].split("<!-- /quickstart -->")[0]
    lines = (ROOT / "results/quickstart/leaderboard.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert shown.strip().splitlines() == rows


def test_blind_attackers_overrate_jpeg_and_the_autoencoder_in_the_committed_quickstart():
    frame = table(read_runs([ROOT / "results/quickstart"])).frame.set_index("purifier")
    for purifier in ("jpeg", "autoencoder"):
        row = frame.loc[purifier]
        assert row["blind_robust_accuracy"] > row["robust_high"]
        assert row["blind_robust_accuracy"] > row["robust_accuracy"] + 0.2
