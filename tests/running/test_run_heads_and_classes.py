"""Two classes of the bundled data behind a head for them: from the suite file to the records."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_runs import rbench, records

import rbench as public
from rbench.results.store import RunFolder

SUITE = """\
suite: two
dataset: {{name: fashion-mnist-mini, classes: [9, 7], samples: 40}}
threat: {{norm: Linf, eps: 0.05}}
backbones:
  - {{name: bundled:fashion-cnn, head: {head}, as: headed}}
{more}
attacks: [{{name: pgd, steps: 4}}]
"""


@pytest.fixture
def head(tmp_path):
    """The rows of ankle boot (9) and sneaker (7) of the backbone's own last layer."""
    last = public.load("backbone", "bundled:fashion-cnn").head[3]
    path = tmp_path / "two.safetensors"
    save_file({"weight": last.weight[[9, 7]].contiguous(), "bias": last.bias[[9, 7]].contiguous()}, path)
    return path


def suite(tmp_path, head, more=""):
    path = tmp_path / "two.yaml"
    path.write_text(SUITE.format(head=head, more=more), encoding="utf-8")
    return path


def test_a_two_class_run_judges_the_headed_backbone_on_renumbered_labels(tmp_path, head):
    out = tmp_path / "run"
    assert rbench("run", suite(tmp_path, head), "--out", out) == 0
    record = records(out)["identity/pgd"]
    assert (record.dataset.label, record.dataset.classes) == ("fashion-mnist-mini (classes 9, 7)", 2)
    assert record.backbone.params == {"head": "two.safetensors"}
    assert record.cell["dataset"]["params"] == {"classes": [9, 7]}
    rows = RunFolder(out).read_samples(record)
    data = public.load("dataset", "fashion-mnist-mini")
    assert (np.array([9, 7])[rows["label"]] == data.labels[rows["sample"]]).all()

    plain = public.load("backbone", "bundled:fashion-cnn")
    with torch.no_grad():
        logits = plain(torch.from_numpy(data.read(rows["sample"].to_numpy())))
    right = logits[:, [9, 7]].argmax(1).numpy() == rows["label"]
    assert record.summary.standard_accuracy.value == right.mean()
    assert rbench("run", out / "suite.yaml", "--out", out) == 0
    assert len(list(out.glob("records/*.json"))) == 1


def test_a_backbone_of_other_logits_stops_the_run_with_one_line(tmp_path, head, capsys):
    assert rbench("run", suite(tmp_path, head, "  - bundled:fashion-cnn"), "--out", tmp_path / "run") == 2
    message = capsys.readouterr().err
    assert "2 classes were chosen and renumbered from 0, but the backbone has 10 logits; give it a head" in message


def test_classes_without_samples_stop_the_run_before_it_starts(tmp_path, head, capsys):
    path, out = suite(tmp_path, head), tmp_path / "run"
    assert rbench("run", path, "--out", out, "--set", "dataset.classes=[9, 17]") == 2
    assert "dataset.classes: no sample of fashion-mnist-mini has label 17; its labels go from 0 to 9" in (
        capsys.readouterr().err
    )
    assert not list(out.glob("records/*.json"))
