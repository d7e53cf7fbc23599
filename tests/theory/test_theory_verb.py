import csv
import json

import pytest
from typer.testing import CliRunner

from rbench.cli.main import app, main
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


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    robust = "{name: adversarial-contrastive, eps: 0.1, steps: 1, lam: 7}"
    for name, objective in (("plain", "reconstruction"), ("robust", robust)):
        (tmp_path / f"{name}.yaml").write_text(RECIPE.format(name=name, objective=objective))
        assert CliRunner().invoke(app, ["fit", f"{name}.yaml", "--out", "w"]).exit_code == 0
    (tmp_path / "suite.yaml").write_text(SUITE)
    return "suite.yaml"


def theory(*arguments):
    found = CliRunner().invoke(app, ["theory", *arguments, "--steps", "3", "--restarts", "1"])
    assert found.exception is None, found.output
    return found


def test_the_verb_measures_every_auto_encoder_at_every_radius_and_draws_the_picture(suite, tmp_path):
    found = theory(suite, "--json")
    assert "note: purifier 'jpeg' has no code" in found.stderr
    folder = tmp_path / "results" / "small" / "theory"
    rows = list(csv.DictReader((folder / "theory.csv").read_text().splitlines()))
    assert [(row["purifier"], row["eps"], row["lam"]) for row in rows] == [
        ("plain", "0.02", "0.0"),
        ("plain", "0.1", "0.0"),
        ("robust", "0.02", "7.0"),
        ("robust", "0.1", "7.0"),
    ]
    for row in rows:
        assert float(row["adversarial_ce"]) >= float(row["clean_ce"])
        assert float(row["attacked_contrastive"]) >= float(row["clean_contrastive"])
        rise = float(row["adversarial_ce"]) - float(row["clean_ce"])
        assert float(row["kappa"]) == pytest.approx(rise / float(row["attacked_contrastive"]))
    assert json.loads(found.stdout) == json.loads((folder / "theory.json").read_text())
    assert (folder / "theory.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (folder / "theory.svg").read_text()
    assert "none, 2 points are too few" in (folder / "theory.md").read_text()


def test_what_was_measured_is_not_measured_again(suite, monkeypatch):
    first = json.loads(theory(suite, "--json").stdout)
    monkeypatch.setattr(run, "measure", lambda *a: pytest.fail("measured again"))
    assert json.loads(theory(suite, "--json").stdout)["points"] == first["points"]


def test_robust_accuracies_can_be_those_of_a_finished_run(suite, tmp_path):
    assert CliRunner().invoke(app, ["run", suite, "--out", "r"]).exit_code == 0
    points = json.loads(theory(suite, "--json", "--run", "r").stdout)["points"]
    assert {point["robust_from"] for point in points} == {"run"}


def test_a_suite_without_auto_encoders_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = SUITE.replace("  - {name: autoencoder, weights: w/plain.safetensors, as: plain}\n", "")
    (tmp_path / "s.yaml").write_text(text.replace("  - {name: cropd, weights: w/robust.safetensors, as: robust}\n", ""))
    with pytest.raises(SystemExit) as stopped:
        main(["theory", "s.yaml"])
    assert stopped.value.code == 2
    assert "error: purifiers: none of the suite has a code" in capsys.readouterr().err
