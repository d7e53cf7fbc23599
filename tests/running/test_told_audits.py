"""What a run has measured of its defended models lies in its folder: the next run believes it while they answer alike, `verify` never."""

import json
import sys

import pytest
import small_runs
import torch
from fake_plugins import forget
from small_runs import SHORT, faults, rbench, records

from rbench.engine.told import Array, keep, read
from rbench.results.runs import read_runs
from rbench.results.store import RunFolder
from rbench.results.table import table
from rbench.running.components import Components
from rbench.running.measured import Shelf
from rbench.running.prepare import prepare
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

SUITE = """\
suite: told
dataset: {{name: fashion-mnist-mini, samples: 8}}
threat: {{norm: Linf, eps: {eps}}}
backbones: [bundled:fashion-cnn]
purifiers: [{purifiers}]
attacks: [{attacks}]
protocol: {{draws: 4, select_draws: 8}}
"""
PGD = "{name: pgd, steps: 2}"
DIM = '''
import torch
from torch import nn

class Dim(nn.Module):
    """Darker images, by how much a file says."""
    def __init__(self, *, weights: str):
        super().__init__()
        with open(weights) as file:
            self.register_buffer("scale", torch.tensor(float(file.read())))
    def forward(self, x):
        return x * self.scale
'''


COUNTING = '''
from torch import nn

SHOWN = []

class Counting(nn.Module):
    """Counts the images of its batches."""
    def forward(self, x):
        SHOWN.append(len(x))
        return 0.9 * x
'''


@pytest.fixture
def measured(monkeypatch):
    """What is measured and kept, of which purifier, in order; empty it between runs."""
    names, real = [], RunFolder.write_audit

    def write_audit(folder, row, name, document):
        names.append((document["key"]["purifier"]["name"], document["key"]["what"]))
        real(folder, row, name, document)

    monkeypatch.setattr(RunFolder, "write_audit", write_audit)
    return names


@pytest.fixture
def run(tmp_path, measured, capsys):
    """Runs the row of a purifier in one folder, without that of the bare backbone; what was measured."""

    def ran(purifiers="identity", attacks=PGD, eps="0.05", out="run", code=0):
        measured.clear()
        (tmp_path / "s.yaml").write_text(SUITE.format(purifiers=purifiers, attacks=attacks, eps=eps))
        only = f"*/{purifiers.partition('name: ')[2].partition(',')[0] or purifiers}*/*"
        given = ("--out", tmp_path / out, "--batch-size", "8", "--only", only)
        assert rbench("run", tmp_path / "s.yaml", *given) == code, capsys.readouterr()
        return [what for _, what in measured]

    ran.root = tmp_path / "run"
    return ran


def stored(root):
    return sorted((root / "audits").glob("*/*.json"))


FIRST = ["audit", "gradients", "cosine"]


@pytest.mark.parametrize("purifiers", ["identity", "{name: gaussian-noise, sigma: 0.1}", "{name: jpeg, quality: 50}"])
def test_a_second_run_with_one_more_attack_measures_nothing(run, purifiers):
    ladder = "" if "noise" in purifiers else ", {{name: adaptive, steps: {steps}, queries: 2}}"
    first = run(purifiers, PGD + ladder.format(steps=2))
    assert first[:3] == FIRST
    assert ("hard label" in first) == bool(ladder)
    assert ("trial" in first) == ("jpeg" in purifiers)
    before = records(run.root)
    assert run(purifiers, f"{PGD}, {{name: apgd, steps: 2}}" + ladder.format(steps=3)) == []
    after = records(run.root)
    assert {record.status for record in after.values()} == {"done"}
    label = purifiers.partition("name: ")[2].partition(",")[0] or purifiers
    own = {
        key: value
        for key, value in before[f"{label}/pgd"].audit.items()
        if key not in ("loss", "kept_promise", "leaks")
    }
    new = after[f"{label}/apgd"].audit
    assert {key: new[key] for key in own} == own


def test_one_more_attack_in_a_second_run_shows_the_model_two_small_batches(plugins, run):
    plugins.add("counting", {"counting": COUNTING}, {"rbench.purifiers": {"counting": "counting:Counting"}})
    assert run("counting") == FIRST
    run("counting", f"{PGD}, {{name: apgd, steps: 2}}")
    planned = plan(load_suite(run.root / "suite.yaml"), only="*/counting/*").cells
    cells = {cell.attack.label: cell for cell in planned}
    shown = sys.modules["counting"].SHOWN

    def passes(components, name):
        before = len(shown)
        prepare(cells[name], components, 8)
        return shown[before:]

    cpu = torch.device("cpu")
    told, alone = Components(cpu, Shelf(run.root)), Components(cpu)
    assert passes(told, "apgd") == [8, 8]
    assert passes(told, "pgd") == []
    assert sum(passes(alone, "apgd")) > 500
    assert passes(alone, "pgd") == []


def test_a_resumed_run_does_not_measure_again_and_ends_alike(run, tmp_path):
    assert run() == FIRST
    whole = small_runs.outcome(run.root)
    for record in run.root.glob("records/*"):
        record.unlink()
    assert run() == []
    assert small_runs.outcome(run.root) == whole
    assert run(out="other") == FIRST, "another folder knows nothing"


def test_another_radius_measures_what_depends_on_it_alone(run):
    run()
    assert run(eps="0.1") == ["audit"]
    assert run(eps="0.1", attacks="{name: apgd, steps: 2}") == []


def test_other_weights_and_other_code_measure_anew(plugins, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plugins.add("dim", {"dim": DIM}, {"rbench.purifiers": {"dim": "dim:Dim"}})
    (tmp_path / "dim.txt").write_text("1.0")
    purifier = "{name: dim, weights: dim.txt}"

    def again(attack):
        sys.modules.pop("dim", None)
        return run(purifier, f"{PGD}, {{name: {attack}}}")

    assert again("noise") == FIRST
    assert again("fgsm") == []
    (tmp_path / "dim.txt").write_text("0.9")
    assert again("fgsm") == FIRST, "the weights are others, which no file says"
    assert again("noise") == []
    (plugins.folder / "dim.py").write_text(DIM.replace("x * self.scale", "x * self.scale * 1"))
    forget()
    assert again("noise") == FIRST
    assert len({path.parent for path in stored(run.root)}) == 1, "of what no cell of the plan needs nothing is left"


def test_other_weights_that_change_no_answer_measure_anew(plugins, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plugins.add("dim", {"dim": DIM.replace("x * self.scale", "x * 1")}, {"rbench.purifiers": {"dim": "dim:Dim"}})
    (tmp_path / "dim.txt").write_text("1.0")
    purifier = "{name: dim, weights: dim.txt}"
    assert run(purifier) == FIRST
    assert run(purifier, "{name: noise}") == []
    (tmp_path / "dim.txt").write_text("0.9")
    assert run(purifier, "{name: fgsm}") == FIRST


def test_other_answers_of_the_same_weights_measure_anew(run):
    run()
    for path in stored(run.root):
        document = json.loads(path.read_text())
        answers = Array(tuple(document["answers"]["shape"]), document["answers"]["float32"])
        moved = Array.of(answers.tensor(torch.device("cpu")) + 1e-3)
        path.write_text(json.dumps({**document, "answers": {"shape": moved.shape, "float32": moved.float32}}))
    assert run(attacks="{name: apgd, steps: 2}") == FIRST
    assert run(attacks="{name: fgsm}") == [], "in the place of the others"


DAMAGES = {
    "empty": lambda text: "",
    "torn": lambda text: text[: len(text) // 2],
    "nothing": lambda text: "[]",
    "a word": lambda text: text.replace('"random": false', '"random": "no"'),
    "no answers": lambda text: text.replace('"float32"', '"float16"'),
    "short": lambda text: text.replace('"float32": "', '"float32": "AAAA'),
    "classes": lambda text: text.replace('"classes": 10', '"classes": 7'),
    "seed": lambda text: text.replace('"seed": 0', '"seed": 1'),
    "NaN": lambda text: text.replace('"repeat_difference": 0.0', '"repeat_difference": NaN'),
}


def test_what_is_damaged_is_measured_anew(plugins, run):
    plugins.add("counting", {"counting": COUNTING}, {"rbench.purifiers": {"counting": "counting:Counting"}})
    run("counting")
    (cell,) = plan(load_suite(run.root / "suite.yaml"), only="*/counting/*").cells
    whole = {path: path.read_text() for path in stored(run.root)}
    for name, damage in DAMAGES.items():
        for path, text in whole.items():
            path.write_text(damage(text))
        shown = sys.modules["counting"].SHOWN
        shown.clear()
        prepare(cell, Components(torch.device("cpu"), Shelf(run.root)), 8)
        assert len(shown) > 50, name


def test_nothing_is_kept_of_a_model_that_is_refused_or_never_answers_alike(plugins, run):
    code = '''
import torch
from torch import nn

TURNED = []

class Turns(nn.Module):
    """Another purifier once it is attacked: one of the eight samples is wrong anyway."""
    def forward(self, x):
        if x.requires_grad and len(x) == 7:
            TURNED.append(True)
        return 0.5 * x if TURNED else x

class Clock(nn.Module):
    """Noise that no seed reaches."""
    def __init__(self):
        super().__init__()
        self.clock = torch.Generator().manual_seed(0)
    def forward(self, x):
        return x + 0.1 * torch.rand(x.shape, generator=self.clock)
'''
    found = {"turns": "odd:Turns", "clock": "odd:Clock"}
    plugins.add("odd", {"odd": code}, {"rbench.purifiers": found})
    assert run("clock") == []
    assert run("turns", code=1) == FIRST, "before the attack"
    assert stored(run.root) == []


def test_only_files_of_measurements_are_ever_removed(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "mine.json").write_text("{}")
    folder = RunFolder.create(tmp_path / "run")
    folder.write_audit("a", "b", {"c": 1})
    (folder.root / "audits" / "d").symlink_to(theirs)
    (folder.root / "audits" / "a" / "note.txt").write_text("keep")
    folder.drop_other_audits(set())
    assert (theirs / "mine.json").exists()
    assert [path.name for path in (folder.root / "audits" / "a").iterdir()] == ["note.txt"]


# --- nobody has to believe it -------------------------------------------------------------------------------------


def forged(root, **claims):
    """Lets every stored audit claim something."""
    for path in stored(root):
        document = json.loads(path.read_text())
        value = document["value"]
        if isinstance(value, dict) and "audit" in value:
            value["audit"] |= claims
            path.write_text(json.dumps(document))


ROUNDS = '''
from torch import nn

class Rounds(nn.Module):
    """Images of few levels, which have no gradient."""
    def forward(self, x):
        return (x * 8).round() / 8
'''
LIES = {
    "differentiable": ("rounds", {"reaches_input": True, "zero_gradient_share": 0.0, "useless_gradient_share": 0.0}),
    "not random": ("gaussian-noise", {"random": False, "repeat_difference": 0.0}),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_forged_audit_changes_what_a_run_finds_but_not_what_verify_says(plugins, run, capsys, lie):
    plugins.add("rounds", {"rounds": ROUNDS}, {"rbench.purifiers": {"rounds": "rounds:Rounds"}})
    purifier, claims = LIES[lie]
    run(purifier, "{name: noise}")
    forged(run.root, **claims)
    assert run(purifier, PGD) == []
    record = records(run.root)[f"{purifier}/pgd"]
    assert all(record.audit[name] == value for name, value in claims.items()), "the run has believed it"
    code, found, _ = small_runs.verify(run.root, capsys, "--survivors", "1")
    assert code == 4
    assert faults(found)
    frame = table(read_runs([run.root])).frame
    assert not frame["verified"][frame["purifier"] == purifier].any()


def test_what_is_measured_for_verify_is_not_told_by_the_folder(run, capsys, monkeypatch):
    run()
    forged(run.root, random=True, reaches_input=False)
    read_audits = []
    monkeypatch.setattr(RunFolder, "read_audit", lambda *asked: read_audits.append(asked))
    code, found, _ = small_runs.verify(run.root, capsys, "--survivors", "1")
    assert (code, faults(found), read_audits) == (0, [], [])


# --- how it is kept -----------------------------------------------------------------------------------------------


class Shelved(dict):
    """Keeps in memory."""

    def put(self, key, value):
        self[json.dumps(key, sort_keys=True)] = value

    def get(self, key):
        return super().get(json.dumps(key, sort_keys=True))


def test_an_answer_is_believed_within_rounding_alone():
    kept, answers = Shelved(), torch.randn(4, 10)
    keep(kept, {"a": 1}, 2.5, answers)
    assert read(kept.get({"a": 1}), float, lambda: answers + 5e-5) == 2.5
    assert read(kept.get({"a": 1}), float, lambda: answers + 2e-4) is None
    assert read(kept.get({"a": 1}), float, lambda: answers[:3]) is None
    assert read(kept.get({"a": 1}), float, lambda: answers * torch.nan) is None
    assert read(kept.get({"a": 1}), bool, lambda: answers) is None
    assert read(None, float, lambda: answers) is None


def test_what_json_cannot_hold_is_not_kept():
    kept = Shelved()
    keep(kept, {}, float("inf"), torch.zeros(1, 2))
    assert kept == {}


def test_a_measurement_is_found_by_all_that_it_depends_on(tmp_path, monkeypatch):
    (tmp_path / "s.yaml").write_text(SHORT)
    cells = plan(load_suite(tmp_path / "s.yaml")).cells
    plain, noisy = cells[0], next(cell for cell in cells if "noise" in cell.purifier.label)
    folder, cpu = RunFolder.create(tmp_path / "run"), torch.device("cpu")

    def found(cell=plain, device=cpu, key=1):
        return Shelf(folder.root).of(cell.backbone, cell.purifier, device).get({"key": key})

    shelf = Shelf(folder.root)
    shelf.of(plain.backbone, plain.purifier, cpu).put({"key": 1}, {"value": 3})
    assert found() is None, "a worker writes nothing"
    for one in shelf.take():
        folder.write_audit(*one)
    assert shelf.take() == ()
    assert found()["value"] == 3
    assert found(noisy) is found(device=torch.device("meta")) is found(key=2) is None
    for name, other in (("JUDGE_VERSION", 99), ("measuring_code", lambda: "other")):
        with monkeypatch.context() as patch:
            patch.setattr(f"rbench.running.measured.{name}", other)
            assert found() is None
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "0.1")
        assert found() is None
