import csv
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from rbench.cli.main import app, main
from rbench.results.frames import read
from rbench.results.output import require_own
from rbench.theory import run

RECIPE = """
recipe: {name}
train: purifier
dataset: {{name: fashion-mnist-mini, samples: 64}}
network: {{name: autoencoder, side: 28, channels: 1, widths: [4, 4], latent: 8}}
objective: {objective}
training: {{epochs: 1, batch_size: 32}}
"""
SUITE = """
suite: small
dataset: {name: fashion-mnist-mini, samples: 20}
threat: {norm: Linf, eps: [0.02, 0.1]}
backbones: [bundled:fashion-cnn]
purifiers:
  - {name: autoencoder, weights: w/plain.safetensors, as: plain}
  - {name: cropd, weights: w/robust.safetensors, as: robust}
  - {name: jpeg, quality: 50}
attacks: [{name: pgd, steps: 2}]
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a suite and its two purifiers."""
    folder = tmp_path_factory.mktemp("trained")
    robust = "{name: adversarial-contrastive, eps: 0.1, steps: 1, lam: 7}"
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        for name, objective in (("plain", "reconstruction"), ("robust", robust)):
            Path(f"{name}.yaml").write_text(RECIPE.format(name=name, objective=objective))
            assert CliRunner().invoke(app, ["fit", f"{name}.yaml", "--out", "w"]).exit_code == 0
    (folder / "suite.yaml").write_text(SUITE)
    return folder


@pytest.fixture
def suite(trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return "suite.yaml"


def theory(*arguments):
    found = CliRunner().invoke(app, ["theory", *arguments, "--steps", "3", "--restarts", "1"])
    assert found.exception is None, found.output
    return found


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["theory", *arguments, "--steps", "3", "--restarts", "1"])
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_the_verb_measures_every_auto_encoder_at_every_radius_and_draws_the_picture(suite, tmp_path):
    found = theory(suite, "--json")
    assert found.stderr == "note: purifier 'jpeg' has no code (`encode`) and is left out\n"
    folder = tmp_path / "runs" / "small" / "theory"
    rows = list(csv.DictReader((folder / "theory.csv").read_text().splitlines()))
    assert [(row["purifier"], row["eps"], row["lam"]) for row in rows] == [
        ("plain", "0.02", "0.0"),
        ("plain", "0.1", "0.0"),
        ("robust", "0.02", "7.0"),
        ("robust", "0.1", "7.0"),
    ]
    for row in rows:
        clean, attacked = float(row["clean_contrastive"]), float(row["attacked_contrastive"])
        rise = float(row["adversarial_ce"]) - float(row["clean_ce"])
        assert rise > 0
        assert attacked > clean
        assert float(row["kappa"]) == pytest.approx(rise / attacked)
        assert float(row["excess_kappa"]) == pytest.approx(rise / (attacked - clean))
        assert row["robust_from"] == "pgd"
    content = json.loads((folder / "theory.json").read_text())
    assert json.loads(found.stdout) == content
    weights = Path("w/robust.safetensors")
    hashes = content["components"]["purifiers"]["robust"]["files"]
    assert hashes == {weights.name: hashlib.sha256(weights.read_bytes()).hexdigest()}
    assert content["settings"]["contrastive"] == "infonce"
    assert "torch" in content["versions"]
    assert (folder / "theory.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (folder / "theory.svg").read_text()


def test_the_page_fits_80_columns_and_says_how_it_was_measured(suite, tmp_path):
    page = theory(suite, "--contrastive", "paper", "--tau", "0.2", "--batch", "8").stdout
    assert page == (tmp_path / "runs" / "small" / "theory" / "theory.md").read_text()
    assert max(map(len, page.splitlines())) <= 80
    assert "## fashion-mnist-mini (20 images), bundled:fashion-cnn, Linf 0.02" in page
    assert "| plain    |      0 |" in page
    words = " ".join(page.split())
    assert "form `paper`, tau 0.2, for every purifier; negatives are the other images of a batch of 6 or 7" in words
    assert "with adversarial CE, eps 0.1, all backbones: none, 2 points are too few or do not vary" in words


def test_what_was_measured_is_not_measured_again(suite, tmp_path, monkeypatch):
    first = json.loads(theory(suite, "--json").stdout)["points"]
    cache = tmp_path / "runs" / "small" / "theory" / "points.jsonl"
    cache.write_text("".join(cache.read_text().splitlines(keepends=True)[:3]))  # killed before the last point
    measured, whole = [], run.measure
    monkeypatch.setattr(run, "measure", lambda *a: measured.append(a) or whole(*a))
    assert json.loads(theory(suite, "--json").stdout)["points"] == first
    assert len(measured) == 1
    theory(suite, "--tau", "0.2")
    assert len(measured) == 1 + 4
    theory(suite, "--set", "dataset.samples=19")
    assert len(measured) == 1 + 4 + 4


def test_a_new_name_is_no_new_measurement(suite, monkeypatch):
    theory(suite)
    monkeypatch.setattr(run, "measure", lambda *a: pytest.fail("measured again"))
    points = json.loads(theory(suite, "--json", "--set", "purifiers[1].as=CRoPD").stdout)["points"]
    assert {point["purifier"] for point in points} == {"plain", "CRoPD"}


def test_a_cache_that_is_none_is_named(suite, tmp_path, capsys):
    folder = tmp_path / "runs" / "small" / "theory"
    folder.mkdir(parents=True)
    (folder / "points.jsonl").write_text('{"half')
    assert "points.jsonl: holds no points of rbench theory" in refused(capsys, suite)


def test_robust_accuracies_can_be_those_of_a_finished_run(suite, capsys):
    assert CliRunner().invoke(app, ["run", suite, "--out", "r"]).exit_code == 0
    points = json.loads(theory(suite, "--json", "--run", "r").stdout)["points"]
    assert {point["robust_from"] for point in points} == {"run"}
    rows = read("r").leaderboard
    for point in points:
        row = rows[(rows["purifier"] == point["purifier"]) & (rows["eps"] == point["radius"])]
        assert point["robust_accuracy"] == row["robust_accuracy"].item()
    assert "worst case over all attacks of the suite's run" in " ".join(theory(suite, "--run", "r").stdout.split())


def test_a_run_of_other_samples_or_weights_or_without_an_end_is_refused(suite, tmp_path, capsys):
    assert CliRunner().invoke(app, ["run", suite, "--out", "r", "--limit", "9"]).exit_code == 0
    assert "plain at eps 0.02: not in it with these samples and weights" in refused(capsys, suite, "--run", "r")
    assert CliRunner().invoke(app, ["run", suite, "--out", "h", "--only", "*/robust/*"]).exit_code == 0
    assert "plain at eps 0.02: no robust accuracy (missing: pgd)" in refused(capsys, suite, "--run", "h")
    assert CliRunner().invoke(app, ["run", suite, "--out", "h"]).exit_code == 0
    changed = (tmp_path / "plain.yaml").read_text().replace("epochs: 1", "epochs: 2")
    (tmp_path / "plain.yaml").write_text(changed)
    for made in (tmp_path / "w").glob("plain.*"):
        made.unlink()
    assert CliRunner().invoke(app, ["fit", "plain.yaml", "--out", "w"]).exit_code == 0
    assert "plain at eps 0.02: not in it with these samples and weights" in refused(capsys, suite, "--run", "h")
    assert "nothing: no such folder" in refused(capsys, suite, "--run", "nothing")
    assert not (tmp_path / "runs").exists()


def test_the_card_of_other_weights_tells_no_lambda(suite, tmp_path):
    card = tmp_path / "w" / "robust.json"
    content = json.loads(card.read_text())
    content["weights"]["sha256"] = "0" * 64
    theory(suite)
    card.write_text(json.dumps(content))
    found = theory(suite, "--json")
    assert "the card of other weights than robust.safetensors" in found.stderr
    assert [point["lam"] for point in json.loads(found.stdout)["points"]] == [0, 0, None, None]
    card.unlink()
    assert [point["lam"] for point in json.loads(theory(suite, "--json").stdout)["points"]] == [0, 0, None, None]


def test_pairs_are_those_of_the_suite_and_heads_of_one_backbone_belong_together(suite, tmp_path):
    generator = torch.Generator().manual_seed(0)
    for name in ("a", "b"):
        head = {"weight": torch.randn(10, 64, generator=generator), "bias": torch.zeros(10)}
        save_file(head, f"{name}.safetensors")
    heads = [("for-plain", "a", "plain"), ("for-robust", "b", "robust")]
    lines = [
        f"  - {{name: 'bundled:fashion-cnn', as: {n}, head: {h}.safetensors, purifiers: [{p}]}}" for n, h, p in heads
    ]
    text = SUITE.replace("[bundled:fashion-cnn]", "\n" + "\n".join(lines)).replace(
        "  - {name: jpeg, quality: 50}\n", ""
    )
    (tmp_path / "heads.yaml").write_text(text)
    points = json.loads(theory("heads.yaml", "--json").stdout)["points"]
    assert {(point["backbone"], point["purifier"]) for point in points} == {
        ("for-plain", "plain"),
        ("for-robust", "robust"),
    }
    assert {point["frozen"] for point in points} == {"bundled:fashion-cnn + head"}


def test_a_suite_without_auto_encoders_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = SUITE.replace("  - {name: autoencoder, weights: w/plain.safetensors, as: plain}\n", "")
    (tmp_path / "s.yaml").write_text(text.replace("  - {name: cropd, weights: w/robust.safetensors, as: robust}\n", ""))
    assert "error: purifiers: none of the suite has a code" in refused(capsys, "s.yaml")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "1"], "dataset.samples: 1 found; L_con compares an image with others"),
        (["--set", "threat.norm=L2"], "threat.norm: L2 found"),
        (["--tau", "0"], "--tau: 0 is no temperature"),
        (["--out", "suite.yaml"], "--out: suite.yaml: found a file"),
        (["--out", "."], "suite.yaml"),
        (["--out", "w"], "found plain.json, plain.safetensors, robust.json and 1 more, expected a new or empty folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_measured_is_one_line(suite, capsys, arguments, message):
    err = refused(capsys, suite, *arguments)
    assert message in err.splitlines()[-1]


def test_a_folder_with_a_page_of_the_users_is_left_alone_and_its_own_is_used_again(suite, tmp_path, capsys):
    mine = tmp_path / "docs" / "theory.md"
    mine.parent.mkdir()
    mine.write_text("my notes")
    refused(capsys, suite, "--out", "docs")
    assert [path.name for path in mine.parent.iterdir()] == ["theory.md"]
    assert mine.read_text() == "my notes"
    page = theory(suite, "--limit", "4", "--batch", "2").stdout
    (tmp_path / "runs" / "small" / "theory" / "notes.md").write_text("mine")
    assert theory(suite, "--limit", "4", "--batch", "2").stdout == page
    require_own(tmp_path / "runs" / "small")  # `rbench run` may come after


def test_a_wrong_suite_does_not_wait_for_torch(tmp_path):
    (tmp_path / "s.yaml").write_text(SUITE.replace("quality: 50", "qualty: 50").replace("w/", "nowhere/"))
    check = (
        "import sys\nfrom rbench.cli.main import main\ntry:\n main(['theory', 's.yaml'])\n"
        "except SystemExit as done:\n assert done.code == 2\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", check], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
