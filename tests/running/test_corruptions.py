"""Common corruptions as a threat: planned, judged, reported and verified beside the attacks, which know nothing of them."""

import csv
import json
import shutil
import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from parts import ANY, at, refused, some
from small_runs import faults, rbench, verify

from rbench.errors import MissingError
from rbench.registry import load
from rbench.results.corrupted_runs import CorruptedFolder
from rbench.results.corruption_record import CorruptionRecord, figure
from rbench.results.record import record_text
from rbench.results.runs import read_runs
from rbench.results.table import table
from rbench.suite import corruptions as planning
from rbench.suite.load import load_suite
from rbench.suite.plan import plan, plan_document

SUITE = """\
suite: corrupted
dataset: {name: fashion-mnist-mini, samples: 12}
threat: {corruptions: [gaussian-noise, fog], severity: [1, 3], path: FOLDER}
backbones: [bundled:fashion-cnn]
purifiers:
  - {name: gaussian-noise, sigma: 0.1}
protocol: {draws: 2, select_draws: 4}
"""
BALL = "threat: {norm: Linf, eps: 0.05}"
ATTACKS = "attacks:\n  - {name: fgsm}\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Images of two corruptions in the layout of CIFAR-10-C, noise of five strengths."""
    folder = tmp_path_factory.mktemp("corrupted")
    data = load("dataset", "fashion-mnist-mini", {})
    x, rng = data.read(data.ids)[:, 0], np.random.default_rng(0)
    for name, strength in (("gaussian_noise", 0.04), ("fog", 0.08)):
        parts = [np.clip(x + rng.normal(0, strength * severity, x.shape), 0, 1) for severity in range(1, 6)]
        np.save(folder / f"{name}.npy", np.rint(255 * np.concatenate(parts)).astype(np.uint8)[..., None])
    np.save(folder / "labels.npy", np.tile(data.labels, 5))
    return folder


def written(root, files, text=SUITE):
    path = root / "suite.yaml"
    path.write_text(text.replace("FOLDER", str(files)))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, files):
    """A run of corruptions alone."""
    root = tmp_path_factory.mktemp("run")
    assert rbench("run", written(root, files), "--out", root / "out", "--batch-size", "64") == 0
    return root / "out"


def test_the_mean_is_that_of_the_backbone_on_the_images_of_the_files(run, files):
    (row,) = (row for row in table(read_runs([run])).corruptions if row.purifier == "identity")
    backbone, data = load("backbone", "bundled:fashion-cnn", {}), load("dataset", "fashion-mnist-mini", {})
    ids = row.cells[0].judged.ids
    right = {}
    for name in ("gaussian_noise", "fog"):
        x = np.load(files / f"{name}.npy")
        for severity in (1, 3):
            shown = torch.from_numpy(x[(severity - 1) * len(data) + ids, :, :, 0][:, None]).float() / 255
            with torch.no_grad():
                right[name, severity] = (backbone(shown).argmax(1).numpy() == data.labels[ids]).astype(float)
    for name in ("gaussian_noise", "fog"):
        for severity in (1, 3):
            assert row.by_name[name.replace("_", "-")][severity].value == pytest.approx(right[name, severity].mean())
    whole = np.mean(list(right.values()), axis=0)
    assert row.mean.value == pytest.approx(whole.mean())
    assert (row.mean.low, row.mean.high, row.mean.n) == (figure(whole).low, figure(whole).high, 12)
    assert row.by_severity[3].value == pytest.approx(np.mean([right["gaussian_noise", 3], right["fog", 3]]))
    with torch.no_grad():
        alone = backbone(torch.from_numpy(data.read(ids))).argmax(1).numpy() == data.labels[ids]
    assert row.standard.value == pytest.approx(alone.mean())
    assert len(set(whole.tolist())) > 2  # not all images alike, or nothing would be clustered


def test_a_random_purifier_is_judged_over_its_draws_and_a_deterministic_one_once(run):
    rows = {row.purifier: row for row in table(read_runs([run])).corruptions}
    assert (rows["identity"].draws, rows["gaussian-noise"].draws) == (1, 2)
    assert {cell.judged.predictions.shape for cell in rows["gaussian-noise"].cells if cell.name != "clean"} == {
        (12, 2, 2)
    }


def test_batch_size_and_workers_change_no_result(run, files, tmp_path):
    other = tmp_path / "out"
    arguments = ("--batch-size", "5", "--workers", "2", "--only", "*/gaussian-noise/*")
    assert rbench("run", written(tmp_path, files), "--out", other, *arguments) == 0
    here, there = CorruptedFolder(run), CorruptedFolder(other)
    ids = [path.stem for path in (other / "corruptions").glob("*.json")]
    assert len(ids) == 3
    for cell_id in ids:
        (one, _), (two, _) = here.read(cell_id), there.read(cell_id)
        assert one.result_hash == two.result_hash
        assert one.severities == two.severities
    assert rbench("run", written(tmp_path, files), "--out", other, *arguments) == 0  # nothing to do


def test_reports_have_the_mean_and_each_corruption_and_no_rank(run, tmp_path):
    assert rbench("report", run, "--to", "md,csv,latex,html", "--out", tmp_path) == 0
    (row,) = (row for row in table(read_runs([run])).corruptions if row.purifier == "identity")
    lines = list(csv.DictReader((tmp_path / "corruptions.csv").read_text(encoding="utf-8").splitlines()))
    single = {(one["purifier"], one["corruption"], one["severity"]): float(one["accuracy"]) for one in lines}
    assert single["identity", "all", "all"] == row.mean.value
    assert single["identity", "fog", "3"] == row.by_name["fog"][3].value
    assert len(lines) == 2 * (4 + 2 + 1)
    shown = f"{100 * row.mean.value:.1f}"
    for name in ("leaderboard.md", "leaderboard.tex", "leaderboard.html"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert shown in text
        assert "orruptions" in text
        assert "Nothing has been recorded" not in text
    assert len((tmp_path / "leaderboard.csv").read_text(encoding="utf-8").splitlines()) == 1


def test_a_forged_figure_is_found_in_the_files_and_forged_answers_by_judging_again(run, tmp_path, capsys):
    root = shutil.copytree(run, tmp_path / "out")
    folder = CorruptedFolder(root)
    rows = {row.purifier: row for row in table(read_runs([root])).corruptions}
    cell = next(cell for cell in rows["identity"].cells if cell.name == "fog")
    better = cell.record.mean_accuracy.model_copy(update={"value": 1.0, "high": 1.0})
    forged = cell.record.model_copy(update={"mean_accuracy": better})
    folder.record_path(cell.id).write_text(record_text(forged), encoding="utf-8")
    code, found, _ = verify(root, capsys, "--offline")
    assert code == 4
    assert any("mean_accuracy.value: 1" in fault for fault in faults(found))

    judged = cell.judged
    judged.predictions = np.broadcast_to(judged.labels[:, None, None], judged.predictions.shape).astype(np.int32)
    values = judged.values("mean")
    severities = [
        part.model_copy(update={"accuracy": figure(values[:, place])})
        for place, part in enumerate(cell.record.severities)
    ]
    consistent = CorruptionRecord.model_validate(
        {
            **dict(cell.record),
            "severities": severities,
            "mean_accuracy": figure(values.mean(axis=1)),
            "result_hash": judged.hash(),
        }
    )
    folder.finish(consistent, judged)
    code, found, _ = verify(root, capsys, "--offline")
    assert (code, faults(found)) == (4, [])  # the files agree, and the tables beside them show other figures
    assert len(found["leaderboards"]) == 2
    for path in root.glob("leaderboard.*"):
        path.unlink()
    assert verify(root, capsys, "--offline")[0] == 0
    code, found, _ = verify(root, capsys)
    assert code == 4
    wrong = {one["title"]: one["faults"] for one in found["cells"] if one["faults"]}
    assert list(wrong) == ["bundled:fashion-cnn/identity/fog"]
    assert "judged again, the defended model answers otherwise" in wrong["bundled:fashion-cnn/identity/fog"][0]
    again = {row.purifier: row.verified for row in table(read_runs([root])).corruptions}
    assert again == {"identity": False, "gaussian-noise": True}


def test_a_corruption_that_was_taken_out_blocks_nothing_unseen(run, tmp_path, capsys):
    root = shutil.copytree(run, tmp_path / "out")
    lines = (root / "corruptions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["threat"]["name"] != "fog"]
    (root / "corruptions.jsonl").write_text("".join(kept), encoding="utf-8")
    code, found, _ = verify(root, capsys, "--offline")
    assert code == 4
    assert any("suite.yaml plans fog" in fault for fault in faults(found))
    next((root / "corruptions").glob("*.parquet")).unlink()
    shutil.copy(run / "corruptions.jsonl", root)
    rows = table(read_runs([root])).corruptions
    assert sum(row.mean is None and "unreadable" in row.status for row in rows) <= 1


def planned(tmp_path, files, text):
    return plan(load_suite(written(tmp_path, files, text)))


def test_attacks_in_a_ball_have_the_ids_that_they_have_without_corruptions(tmp_path, files, monkeypatch):
    monkeypatch.chdir(files.parent)  # of a folder elsewhere only the name is stored
    both = SUITE.replace("threat: {", "threat: {norm: Linf, eps: 0.05, ") + ATTACKS
    alone = "".join(BALL + "\n" if line.startswith("threat") else line for line in both.splitlines(True))
    mixed, ball = planned(tmp_path, files, both), planned(tmp_path, files, alone)
    assert [cell.id for cell in mixed.cells] == [cell.id for cell in ball.cells]
    assert (len(mixed.corrupted), len(ball.corrupted)) == (6, 0)
    assert "corruptions:" not in ball.resolved
    assert "corrupted" not in plan_document(ball)
    again = tmp_path / "again.yaml"
    for one in (mixed, planned(tmp_path, files, SUITE)):
        again.write_text(one.resolved)
        resolved = plan(load_suite(again))
        assert [cell.id for cell in resolved.corrupted] == [cell.id for cell in one.corrupted]
        assert resolved.resolved == one.resolved


def test_beside_attacks_the_row_has_both_figures_and_the_worst_case_is_that_of_the_attacks(tmp_path, files):
    both = SUITE.replace("threat: {", "threat: {norm: Linf, eps: 0.05, ") + ATTACKS
    both = both.replace("  - {name: gaussian-noise, sigma: 0.1}\n", "  - identity\n")
    out = tmp_path / "out"
    assert rbench("run", written(tmp_path, files, both), "--out", out) == 0
    found = table(read_runs([out]))
    (fields,), (row,) = found.rows(), found.corruptions
    assert fields["corruptions"] == row.mean.value
    assert fields["corruptions_of"] == "2 corruptions, severity 1, 3"
    assert row.robust == ("Linf 0.05", fields["robust_accuracy"])
    assert row.standard.value == fields["standard_accuracy"]
    (cell,) = found.cells[0]
    worst = np.minimum(cell.samples["robust"].to_numpy(), cell.samples["clean"].to_numpy())
    assert fields["robust_accuracy"] <= worst.mean()  # of the attack, its 8-bit image and the noise; no corruption
    text = (out / "leaderboard.md").read_text(encoding="utf-8")
    assert "corruptions %" in text
    assert "robust (Linf 0.05)" in text


@pytest.mark.parametrize(
    ("threat", "wrong"),
    [
        ("corruption: gaussian_noise", at("s:3:22: threat.corruption", "'gaussian_noise'", "Write gaussian-noise.")),
        (
            "corruptions: [fog, gausian-noise]",
            at("s:3:23: threat.corruptions", "'gausian-noise'", "Did you mean 'gaussian-noise'?"),
        ),
        ("corruptions: [all, fog]", at("s:3:23: threat.corruptions", "fog", "Name each once.")),
        ("corruptions: all, severity: 6", at("s:3:38: threat.severity", "6", "Write [1, 3, 5].")),
        (
            "corruptions: all, eps: 8/255",
            at("s:3:33: threat.eps", ANY, some("norm: Linf"), fact="a radius needs a norm"),
        ),
        ("corruptions: all, norm: Linf", at("s:3:10: threat.eps", remedy=some("Radius"), fact="missing")),
        ("severity: 3", at("s:3:10: threat.norm", remedy=some("How the size"), fact="missing")),
    ],
)
def test_what_is_wrong_with_a_threat_is_told_with_its_place(tmp_path, threat, wrong):
    path = tmp_path / "suite.yaml"
    lines = SUITE.splitlines(True)
    lines[2] = f"threat: {{{threat}}}\n"
    path.write_text("".join(lines))
    with refused(**{**wrong, "place": some(wrong["place"].split(" ")[-1])}):
        load_suite(path)


def test_attacks_without_a_ball_and_a_ball_without_attacks_are_refused(tmp_path, files):
    with refused(place=some("attacks"), problem=some("no ball"), found=ANY, remedy=some("norm and eps")):
        planned(tmp_path, files, SUITE + ATTACKS)
    lines = SUITE.splitlines(True)
    lines[2] = BALL + "\n"
    with refused(place=some("attacks"), problem="missing.", remedy=ANY):
        planned(tmp_path, files, "".join(lines))


def test_a_missing_library_or_file_is_told_with_what_to_do(tmp_path, files, monkeypatch):
    with refused(place=some("threat.path"), found="snow", problem=some("snow.npy")):
        planned(tmp_path, files, SUITE.replace("fog", "snow"))

    def missing(name):
        raise planning.PackageNotFoundError(name)

    monkeypatch.setattr(planning, "version", missing)
    with refused(MissingError, place="threat", remedy="pip install 'rbench[corruptions]'"):
        planned(tmp_path, files, SUITE.replace(", path: FOLDER", ""))


def test_all_are_the_fifteen_and_each_severity_is_usual(tmp_path, files):
    pytest.importorskip("imagecorruptions")
    cells = planned(
        tmp_path, files, SUITE.replace("[gaussian-noise, fog], severity: [1, 3], path: FOLDER", "all")
    ).corrupted
    names = [cell.corruption.name for cell in cells if cell.purifier.label == "identity"]
    assert len(names) == 16
    assert names[-1] == "clean"
    assert {cell.corruption.severity for cell in cells} == {(1, 2, 3, 4, 5), (0,)}
    assert "imagecorruptions-imaug" in cells[0].corruption.version
    assert len({cell.id for cell in cells}) == len(cells)


def test_samples_that_are_torn_or_of_another_cell_are_refused(run, tmp_path):
    folder = CorruptedFolder(shutil.copytree(run, tmp_path / "out"))
    cell_id = next((run / "corruptions").glob("*.json")).stem
    path = folder.samples_path(cell_id)
    content = pq.read_table(path)
    pq.write_table(content.slice(0, len(content) - 1), path)
    with refused(problem=some("rows, but its record has")):
        folder.read(cell_id)
    path.write_bytes(path.read_bytes()[:-8])
    with refused(problem=some("unreadable")):
        folder.read(cell_id)


def test_a_bundle_has_what_was_judged_and_asks_for_the_corrupted_images(run, files, tmp_path, monkeypatch, capsys):
    assert str(files) not in (run / "suite.yaml").read_text()
    bundle, elsewhere = tmp_path / "mine.zip", tmp_path / "elsewhere"
    assert rbench("bundle", run, "--out", bundle) == 0
    assert "fog.npy is not in it" in "".join(capsys.readouterr()).replace("\n", " ")
    with zipfile.ZipFile(bundle) as archive:
        assert len([name for name in archive.namelist() if name.startswith("corruptions/")]) == 2 * 2 * 3
    monkeypatch.setenv("RBENCH_CACHE", str(tmp_path / "of-a-reviewer"))
    assert rbench("verify", bundle) != 0
    assert files.name in "".join(capsys.readouterr()).replace("\n", "")
    shutil.copytree(files, elsewhere / files.name)
    assert rbench("verify", bundle, "--files", elsewhere) == 0
