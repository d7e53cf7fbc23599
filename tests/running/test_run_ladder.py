"""Ladders and attacks on codes in a suite: refused before anything runs, resumed after a signal, told in the record."""

import json
import signal

import pytest
from made_runs import document, record
from small_runs import chunks, outcome, rbench, records

from rbench.cli.run import ended
from rbench.errors import InputError, Interrupted
from rbench.results.frames import read
from rbench.results.record import RungPart, read_record, record_text
from rbench.running import runner
from rbench.running.resume import open_run, pending
from rbench.suite.load import load_suite
from rbench.suite.plan import gradient_passes, plan

SUITE = """\
suite: ladder
dataset: {name: fashion-mnist-mini, samples: 12}
threat: {norm: Linf, eps: 0.1}
backbones: [bundled:fashion-cnn]
purifiers: [identity, bit-depth]
attacks:
  - {name: adaptive, steps: 5, restarts: 1, queries: 50, batch_size: 4}
"""


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "ladder.yaml"
    path.write_text(SUITE)
    return path


def told(root):
    return {
        name: [(r.label, r.attacked, r.fooled, r.backwards) for r in one.rungs] for name, one in records(root).items()
    }


def test_a_ladder_goes_on_after_a_signal_and_ends_like_an_undisturbed_run(suite, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert rbench("run", suite, "--out", whole) == 0
    planned = plan(load_suite(suite))

    def stop_in_the_second_chunk(step):
        if chunks(broken):
            signal.raise_signal(signal.SIGTERM)

    with open_run(planned, broken) as folder, pytest.raises(Interrupted):
        runner.run(pending(planned.cells, folder, "missing"), folder, on_progress=stop_in_the_second_chunk)
    kept = chunks(broken)
    assert [name.partition("/")[2] for name in kept] == ["0-4"]
    before = {name: (broken / "chunks" / f"{name}.safetensors").stat().st_mtime_ns for name in kept}
    seen = []

    def look(step):
        if chunks(broken):
            seen.extend((broken / "chunks" / f"{name}.safetensors").stat().st_mtime_ns for name in kept)

    with open_run(planned, broken) as folder:
        todo = pending(planned.cells, folder, "missing")
        assert len(todo) == 2
        runner.run(todo[:1], folder, on_progress=look)
        assert set(seen) == set(before.values())
        runner.run(todo[1:], folder)
    assert outcome(broken) == outcome(whole)
    assert told(broken) == told(whole)


def test_the_record_tells_what_each_rung_did_and_reports_take_it(suite, tmp_path, capsys):
    assert rbench("run", suite, "--out", tmp_path / "run", "--only", "*/identity/*") == 0
    (one,) = records(tmp_path / "run").values()
    assert [rung.label for rung in one.rungs] == [
        "feature",
        "pgd-ce",
        "apgd-ce",
        "pgd-margin",
        "apgd-t",
        "square",
    ]
    wrong = 12 * (1 - one.summary.standard_accuracy.value)
    assert sum(rung.fooled for rung in one.rungs) + wrong == pytest.approx(12 * (1 - one.summary.robust_accuracy.value))
    assert sum(rung.backwards for rung in one.rungs) == one.cost.backwards
    assert one.attack.gradient == "exact"
    frames = read(tmp_path / "run")
    assert frames.leaderboard["strongest_attack"].tolist()[:1] == ["adaptive"]
    assert frames.records["rungs"].dropna().tolist()[0][0]["label"] == "feature"
    fooling = ", ".join(f"{rung.label} {rung.fooled}" for rung in one.rungs if rung.fooled)
    assert f"(fooled by {fooling})" in capsys.readouterr().err


def test_records_from_before_there_were_rungs_are_read(tmp_path):
    content = json.loads(record_text(record(document())))
    assert content.pop("rungs") == []
    path = tmp_path / "old.json"
    path.write_text(json.dumps(content))
    assert read_record(path).rungs == ()


def test_rungs_survive_a_round_trip_and_are_typed(tmp_path):
    part = RungPart(label="latent", path="exact", attacked=8, fooled=3, backwards=120, seconds=0.5)
    path = tmp_path / "new.json"
    written = record(document(), rungs=(part,))
    path.write_text(record_text(written))
    assert read_record(path).rungs == (part,)
    path.write_text(record_text(written).replace('"fooled": 3', '"fooled": -3'))
    with pytest.raises(InputError, match=r"rungs\[0\]\.fooled"):
        read_record(path)
    assert "fooled by latent 3" in ended(written, 1, 1)
    assert "fooled" not in ended(record(document()), 1, 1)


@pytest.mark.parametrize(
    ("attack", "place", "message"),
    [
        ("{name: adaptive, gradient: exact}", "7:32", "attacks[0].gradient: 'adaptive' takes auto (got 'exact')."),
        ("{name: latent, gradient: blind}", "7:30", "attacks[0].gradient: 'latent' takes auto or exact (got 'blind')."),
        (
            "{name: decoder, gradient: blind}",
            "7:31",
            "attacks[0].gradient: 'decoder' takes auto or exact or checkpointed or bpda (got 'blind').",
        ),
    ],
)
def test_a_gradient_path_that_means_nothing_is_refused_with_its_place(suite, tmp_path, capsys, attack, place, message):
    suite.write_text(SUITE.replace("{name: adaptive, steps: 5, restarts: 1, queries: 50, batch_size: 4}", attack))
    assert rbench("run", suite, "--out", tmp_path / "run") == 2
    assert capsys.readouterr().err.strip().endswith(f"{suite}:{place}: {message}")
    assert not (tmp_path / "run").exists()


def test_a_purifier_without_a_code_is_refused_by_label_before_anything_runs(suite, tmp_path, capsys):
    attack = "- {name: noise}\n  - {name: latent, as: code, purifiers: [bit-depth]}"
    suite.write_text(SUITE.replace("- {name: adaptive, steps: 5, restarts: 1, queries: 50, batch_size: 4}", attack))
    assert rbench("run", suite, "--out", tmp_path / "run") == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert "attack 'code': purifier 'bit-depth' has no encode(x)" in error
    assert error.endswith("with `purifiers: [...]`")
    assert not list((tmp_path / "run").glob("records/*"))


def test_the_passes_of_a_ladder_are_not_known_beforehand(suite):
    assert [gradient_passes(cell) for cell in plan(load_suite(suite)).cells] == [None, None]
