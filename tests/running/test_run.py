"""What a run does with its cells: which it runs, which fail, what it writes."""

import json
import os
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest
import torch
import yaml
from costs import waited
from fake_plugins import Plugins
from parts import refused, some
from PIL import Image
from small_runs import chunks, command, content, environment, litter, rbench, records

from rbench import evaluate
from rbench.datasets.subset import load_dataset
from rbench.errors import InputError
from rbench.results.store import RunFolder
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

SUITE = """\
suite: tiny
dataset: {name: fashion-mnist-mini, samples: 24}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
purifiers: [identity, bit-depth]
attacks:
  - {name: pgd, steps: 3}
  - noise
"""

FAULTY = '''
"""Purifiers that break the rules, each in its own way."""
import torch


class Raises(torch.nn.Module):
    """Raises after some calls with gradients.

    Args:
        after: how many calls work.
    """

    stochastic = False

    def __init__(self, *, after: int = 40) -> None:
        super().__init__()
        self.left = [after]

    def forward(self, x):
        if torch.is_grad_enabled():
            self.left[0] -= 1
        if self.left[0] < 0:
            raise RuntimeError("out of\\n\\x1b[31mluck")
        return x


class Drifts(torch.nn.Module):
    """Adds a running mean that moves while an attack asks for gradients, but not during the audits of 16 and of 4 images."""

    stochastic = False

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x):
        if x.requires_grad and len(x) not in (4, 16):
            self.mean += 0.01 * x.detach().mean()
        return x + self.mean


class Spoils(torch.nn.Module):
    """NaN for images that were moved."""

    stochastic = False

    def forward(self, x):
        levels = x * 255
        moved = ((levels - levels.round()).abs() > 1e-3).flatten(1).any(1)
        return torch.where(moved[:, None, None, None], torch.nan, x)


class Picky(torch.nn.Module):
    """Takes no parameter but a good one."""

    stochastic = False

    def __init__(self, *, size: int = 1) -> None:
        super().__init__()
        if size != 1:
            raise ValueError(f"size is {size}, expected 1")

    def forward(self, x):
        return x
'''

FAULTS = {name: f"faulty_purifiers:{name.capitalize()}" for name in ("raises", "drifts", "spoils", "picky")}


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """Writes a suite into the current folder, which is empty."""
    monkeypatch.chdir(tmp_path)

    def written(text=SUITE, **changes):
        for old, new in changes.items():
            text = text.replace(old, new)
        (tmp_path / "s.yaml").write_text(text)
        return tmp_path / "s.yaml"

    return written


@pytest.fixture
def faulty(plugins: Plugins, suite):
    plugins.add("faulty", {"faulty_purifiers": FAULTY}, {"rbench.purifiers": FAULTS})
    return suite


@pytest.fixture
def run(tmp_path, capfd):
    """Runs the suite; (exit code, stderr)."""

    def ran(*arguments):
        capfd.readouterr()
        code = rbench("run", "s.yaml", "--out", "run", "--batch-size", "4", *arguments)
        return code, capfd.readouterr().err

    return ran


def statuses(root):
    return {name: record.status for name, record in records(root).items()}


def test_a_run_leaves_a_record_for_every_planned_cell_and_no_path_of_this_machine(suite, run, tmp_path):
    path = suite()
    assert run()[0] == 0
    found = records(tmp_path / "run")
    assert [r.id for r in sorted(found.values(), key=lambda r: r.id)] == sorted(
        c.id for c in plan(load_suite(path)).cells
    )
    assert {record.status for record in found.values()} == {"done"}
    for name, data in content(tmp_path / "run").items():
        assert str(tmp_path).encode() not in data, name
        assert b"/home/" not in data, name
        assert os.path.realpath(".").encode() not in data, name
    assert litter(tmp_path / "run") == []
    assert {"leaderboard.md", "leaderboard.csv", "suite.yaml", "cells.jsonl"} <= content(tmp_path / "run").keys()


def test_a_record_counts_and_measures(suite, run, tmp_path):
    suite()
    longest = waited(lambda: run("--only", "*/identity/pgd"))
    record = records(tmp_path / "run")["identity/pgd"]
    assert record.dataset.samples == record.summary.robust_accuracy.n == 24
    assert record.dataset.classes == 10
    assert record.attack.gradient == "exact"
    assert record.cost.backwards > 0
    assert record.cost.queries >= record.cost.backwards
    assert 0 < record.cost.seconds < longest
    columns = RunFolder(tmp_path / "run").read_samples(record).to_pydict()
    assert record.summary.robust_accuracy.value == pytest.approx(np.mean(columns["robust"]))
    assert max(columns["distance"]) <= 0.05


def test_the_suite_beside_the_results_plans_the_same_cells(suite, run, tmp_path):
    path = suite()
    run("--set", "attacks[0].steps=2", "--limit", "8")
    (tmp_path / "again.yaml").write_bytes((tmp_path / "run" / "suite.yaml").read_bytes())
    again = {cell.id for cell in plan(load_suite(tmp_path / "again.yaml")).cells}
    assert again == {record.id for record in records(tmp_path / "run").values()}
    assert not again & {cell.id for cell in plan(load_suite(path)).cells}


def test_only_runs_the_cells_that_match_and_the_rest_later(suite, run, tmp_path):
    suite()
    code, err = run("--only", "*/identity/*,noise")
    assert code == 0
    assert statuses(tmp_path / "run") == dict.fromkeys(("identity/pgd", "identity/noise", "bit-depth/noise"), "done")
    code, err = run()
    assert [line.split(":")[0] for line in err.splitlines() if line.startswith("[")] == ["[1/1] bundled"]
    assert len(records(tmp_path / "run")) == 4


def test_limit_judges_the_first_samples_of_the_same_order(suite, run, tmp_path):
    suite()
    run("--only", "noise", "--limit", "8")
    few = records(tmp_path / "run")["identity/noise"]
    run("--only", "noise")
    folder = RunFolder(tmp_path / "run")
    many = next(r for p in folder.record_paths() if (r := folder.read_record(p.stem)).dataset.samples == 24)
    assert few.dataset.samples == 8
    assert set(folder.read_samples(few)["sample"].to_pylist()) < set(folder.read_samples(many)["sample"].to_pylist())


def test_redo_all_runs_finished_cells_again_to_the_same_result(suite, run, tmp_path):
    suite()
    run("--only", "identity")
    first = {name: record.result_hash for name, record in records(tmp_path / "run").items()}
    code, err = run("--only", "identity", "--redo", "all")
    assert code == 0
    assert sum(line.startswith("[") for line in err.splitlines()) == 2
    assert {name: record.result_hash for name, record in records(tmp_path / "run").items()} == first


def test_a_failing_cell_stops_no_other_and_is_run_again_on_demand(faulty, run, tmp_path):
    faulty(**{"bit-depth]": "spoils]"})
    code, err = run()
    assert code == 1
    assert statuses(tmp_path / "run") == {
        "identity/pgd": "done",
        "identity/noise": "done",
        "spoils/pgd": "failed",
        "spoils/noise": "failed",
    }
    failed = records(tmp_path / "run")["spoils/pgd"]
    assert failed.summary is None
    assert failed.failed_samples
    said = f"sample {failed.failed_samples[0]}: logits are NaN or infinite on an image under uniform noise in the ball"
    assert failed.error == said
    assert "\n" not in failed.error
    assert err.splitlines()[-1] == "2 of 4 cells failed; --redo failed runs them again"
    before = content(tmp_path / "run")
    assert run() == (1, "nothing to do: all 4 cells are in run\n2 of 4 cells failed; --redo failed runs them again\n")
    assert content(tmp_path / "run") == before
    code, err = run("--redo", "failed")
    assert code == 1
    assert err.count("spoils/") == 2
    assert "identity/" not in err


def test_a_failed_cell_blocks_its_row_and_no_other(faulty, run, tmp_path):
    faulty(**{"bit-depth]": "spoils]"})
    run()
    lines = (tmp_path / "run" / "leaderboard.csv").read_text().splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=False)) for line in lines[1:]]
    robust = {row["purifier"]: row["robust_accuracy"] for row in rows}
    assert robust["spoils"] == ""
    assert 0 <= float(robust["identity"]) < 1


def test_a_model_that_raises_on_a_later_batch_fails_its_cell_in_one_line(faulty, run, tmp_path):
    faulty(**{"bit-depth]": "{name: raises, after: 8}]"})
    code, err = run("--only", "pgd")
    assert code == 1
    assert statuses(tmp_path / "run") == {"identity/pgd": "done", "raises/pgd": "failed"}
    assert records(tmp_path / "run")["raises/pgd"].error == "RuntimeError: out of \\x1b[31mluck"
    assert "\x1b" not in err
    assert "RuntimeError: out of \\x1b[31mluck" in err


def test_a_model_that_changes_during_the_attack_fails_and_never_becomes_a_number(faulty, run, tmp_path):
    faulty(**{"bit-depth]": "drifts]"})
    assert run("--only", "pgd")[0] == 1
    failed = records(tmp_path / "run")["drifts/pgd"]
    assert failed.error == "the parameters or buffers of the defended model changed during the attack"
    assert not [name for name in chunks(tmp_path / "run") if name.startswith(failed.id)]
    assert run("--only", "pgd", "--redo", "failed")[0] == 1  # nothing was kept that would pass now
    assert statuses(tmp_path / "run")["drifts/pgd"] == "failed"


def test_the_cell_after_one_that_changed_its_model_gets_a_fresh_one(faulty, run, tmp_path):
    faulty(**{"bit-depth]": "drifts]"})
    run("--only", "*/drifts/*")
    after = records(tmp_path / "run")["drifts/noise"]
    shutil.rmtree(tmp_path / "run")
    run("--only", "*/drifts/noise")
    alone = records(tmp_path / "run")["drifts/noise"]
    assert after.provenance["weights_sha256"] == alone.provenance["weights_sha256"]
    assert after.result_hash == alone.result_hash


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("steps: 3", "steps: 0", "steps"),
        ("steps: 3", "stepz: 3", "Did you mean 'steps'?"),
        ("bit-depth", "{name: bit-depth, bits: 99}", "bits"),
        ("bundled:fashion-cnn", "{name: 'file:gone.safetensors', arch: fashion-cnn}", "gone.safetensors"),
        ("bundled:fashion-cnn", "bundled:nope", "nope"),
        ("bit-depth", "{name: picky, size: 3}", "size is 3, expected 1"),
        ("samples: 24", "samples: 2000", "2000"),
        ("name: fashion-mnist-mini", "name: npz, path: gone.npz", "gone.npz"),
        ("eps: 0.05", "eps: 13", "threat.eps"),
    ],
)
def test_a_wrong_part_stops_the_run_before_anything_is_computed(faulty, run, tmp_path, old, new, words):
    faulty(**{old: new})
    code, err = run()
    assert code == 2
    assert words in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.glob("run/records/*"))
    assert chunks(tmp_path / "run") == []


@pytest.mark.parametrize(("policy", "stored"), [("none", None), ("fooled", "fooled"), ("all", "all"), ("auto", "all")])
def test_images_are_stored_as_the_suite_says(suite, run, tmp_path, policy, stored):
    suite(SUITE.replace("0.05", "0.02") + f"store: {{images: {policy}}}\n")
    run("--only", "*/identity/pgd", "--limit", "12")
    folder = RunFolder(tmp_path / "run")
    record = records(folder.root)["identity/pgd"]
    columns = folder.read_samples(record).to_pydict()
    fooled = [i for i, robust in zip(columns["sample"], columns["robust"], strict=True) if robust < 1]
    assert 0 < len(fooled) < 12
    if stored is None:
        with pytest.raises(InputError, match="the adversarial examples are not here"):
            folder.read_images(record.id)
        return
    images, ids = folder.read_images(record.id)
    assert ids.tolist() == (fooled if stored == "fooled" else columns["sample"])
    assert images.shape == (len(ids), 1, 28, 28)


def test_a_cell_without_survivors_over_pictures_is_no_failure(suite, run, tmp_path):
    data, ids = load_dataset("fashion-mnist-mini"), np.arange(12)
    for label in range(10):
        (tmp_path / "pictures" / f"{label}").mkdir(parents=True)
    for sample, image in zip(ids, data.read(ids), strict=True):
        grey = Image.fromarray((image[0] * 255).astype(np.uint8))
        grey.save(tmp_path / "pictures" / f"{data.labels[sample]}" / f"{sample:02d}.png")
    pictures = {"{name: fashion-mnist-mini, samples: 24}": "{name: image-folder, path: pictures, samples: 12}"}
    suite(**pictures, **{"eps: 0.05": "eps: 0.9", "identity, bit-depth": "identity"})
    code, told = run("--only", "*/pgd")
    (found,) = records(tmp_path / "run").values()
    assert (code, found.status, found.summary.robust_accuracy.value) == (0, "done", 0.0), told


def test_the_batch_size_changes_no_result_of_our_attacks(suite, tmp_path):
    path = suite(
        **{
            "bit-depth": "gaussian-noise",
            "- noise": "- {name: pgd, steps: 2, eot: 3, restarts: 2, as: r}\nprotocol: {draws: 4, select_draws: 8}",
        }
    )
    hashes = {}
    for size in (16, 64):
        assert rbench("run", path, "--out", tmp_path / str(size), "--batch-size", size) == 0
        hashes[size] = {name: record.result_hash for name, record in records(tmp_path / str(size)).items()}
    assert len(set(hashes[16].values())) == 4
    assert hashes[16] == hashes[64]


@pytest.mark.parametrize("place", [3, 20])
def test_labels_that_are_no_class_of_the_backbone_are_refused_by_sample(suite, run, tmp_path, place):
    labels = np.arange(24) % 10
    labels[place] = 12
    np.savez(tmp_path / "x.npz", images=np.random.default_rng(0).random((24, 1, 28, 28), np.float32), labels=labels)
    suite(**{"name: fashion-mnist-mini": "name: npz, path: x.npz"})
    code, err = run()
    assert code == 2
    assert f"sample {place}: label 12" in err
    assert "labels go from 0 to 9" in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.glob("run/records/*"))


@pytest.mark.parametrize("place", [3, 20])
def test_evaluate_refuses_labels_that_are_no_class(place):
    images = torch.rand(24, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(24, dtype=torch.int64)
    labels[place] = 3
    backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    with refused(place=some(f"labels: sample {place}"), found="label 3", problem=some("3 classes")):
        evaluate(backbone, images, labels, attack="noise")


def test_a_purifier_of_a_third_party_runs_like_one_of_ours(suite, run, tmp_path):
    try:
        origin = version("rbench-plugin-example")
    except PackageNotFoundError:
        pytest.skip("tests/plugin_pkg is not installed; `make test` installs it")
    suite(**{"bit-depth": "{name: box-blur, radius: 2}"})
    assert run()[0] == 0
    record = records(tmp_path / "run")["box-blur/pgd"]
    assert record.status == "done"
    assert record.purifier.params == {"radius": 2}
    assert record.cell["purifier"]["version"].startswith("rbench-plugin-example+")
    assert record.provenance["distributions"]["rbench-plugin-example"] == origin


def test_the_same_data_elsewhere_in_another_process_give_the_same_ids_and_hashes(suite, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28), np.uint8)
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        np.savez(tmp_path / place / "x.npz", images=images, labels=np.arange(12) % 10)
    text = SUITE.replace("name: fashion-mnist-mini, samples: 24", "name: npz, path: x.npz")
    path = suite(text)
    assert (
        rbench("run", path, "--set", f"dataset.path={tmp_path}/here/x.npz", "--out", "one", "--only", "identity") == 0
    )
    shutil.copy(path, tmp_path / "there")
    arguments = command("run", "s.yaml", "--out", "two", "--only", "identity")
    done = subprocess.run(arguments, cwd=tmp_path / "there", env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, two = records(tmp_path / "one"), records(tmp_path / "there" / "two")
    assert {n: (r.id, r.result_hash) for n, r in one.items()} == {n: (r.id, r.result_hash) for n, r in two.items()}
    assert all(str(tmp_path) not in json.dumps(r.model_dump(mode="json")) for r in one.values())
    assert yaml.safe_load((tmp_path / "one" / "suite.yaml").read_text())["suite"] == "tiny"
