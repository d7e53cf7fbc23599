"""Rows 1 to 11 of the fault table: suite files. Everything is told in one line, with exit code 2, before anything runs."""

import json
import os
from pathlib import Path

import pytest
from fake_plugins import SUITE
from small_runs import rbench
from suite_errors import changed

from rbench.registry import KINDS, registry
from rbench.suite import effort
from rbench.suite.load import load_suite


@pytest.mark.parametrize(
    ("data", "place", "found"),
    [
        (None, "gone.yaml", None),
        (b"suite: \xff", "s.yaml:1:8", "byte 0xff"),
        ("suite: é".encode("latin-1"), "s.yaml:1:8", "byte 0xe9"),
        (SUITE.encode("utf-16"), "s.yaml:1:1", "byte 0xff"),
        (SUITE.encode("utf-32"), "s.yaml:1:1", "byte 0xff"),
        (SUITE.encode() + b"\x00", "s.yaml:15:1", "NUL byte"),
        (b"suite: a\x1b[31m", "s.yaml:1:9", "control character U+001B"),
        (b"\x80\x04\x95", "s.yaml:1:1", "byte 0x80"),
        (b"", "s.yaml:1:1", "an empty file"),
    ],
)
def test_001_what_is_no_text_is_told_by_file_and_offset(told, write, data, place, found):
    error = told(path="gone.yaml" if data is None else write(data))
    assert (error["place"], error["found"]) == (place, found)
    if found and "byte" in found:
        assert "offset" in error["problem"]


def test_001_folders_and_devices_are_no_suites_and_a_byte_order_mark_is_nothing(told, write, capsys):
    os.mkfifo("pipe")
    Path("folder").mkdir()
    for path in ("folder", "pipe", "/dev/null", "x" * 3000):
        assert told(path=path)["problem"]
    assert rbench("plan", write(b"\xef\xbb\xbf" + SUITE.replace("\n", "\r\n").encode())) == 0


@pytest.mark.parametrize(
    ("text", "place", "remedy"),
    [
        (changed("  norm", "\tnorm"), "s.yaml:4:1", "Indent with spaces, not tabs."),
        (changed("eps: 8/255", "eps: [8/255"), "s.yaml:6:", None),
        (changed("small", "small: b"), "s.yaml:1:13", "Quote text that holds a colon and a space."),
        (changed("suite:", "suite: 'x"), "s.yaml:", None),
        (changed("{draws: 4", "{draws: 4}}"), "s.yaml:14:", None),
    ],
)
def test_002_a_syntax_error_has_line_and_column(told, text, place, remedy):
    error = told(text)
    assert error["place"].startswith(place)
    assert error["problem"].startswith("not YAML")
    assert error["remedy"] == remedy


@pytest.mark.parametrize(
    ("old", "new", "field", "nearest"),
    [
        ("eps: 8", "epsilon: 8", "threat.epsilon", "'eps'"),
        ("quality: 50", "qualty: 50", "purifiers[1].qualty", "'quality'"),
        ("steps: 10", "stesp: 10", "attacks[0].stesp", "'steps'"),
        ("seed: 1", "sede: 1", "protocol.sede", "'seed'"),
        ("samples", "sample", "dataset.sample", "'samples'"),
        ("attacks:", "atacks:", "atacks", "'attacks'"),
        ("- net:small", "- {name: 'net:small', widht: 3}", "backbones[0].widht", "'width'"),
    ],
)
def test_003_an_unknown_key_is_told_with_the_nearest(told, old, new, field, nearest):
    error = told(changed(old, new))
    assert error["place"].endswith(f": {field}")
    assert error["remedy"].startswith(f"Did you mean {nearest}?")


@pytest.mark.parametrize(
    ("text", "place", "first"),
    [
        (f"{SUITE}suite: again\n", "s.yaml:15:1: suite", "line 1"),
        (changed("  eps: 8/255", "  eps: 8/255\n  eps: 4/255"), "s.yaml:6:3: threat.eps", "line 5"),
        (changed("quality: 50", "quality: 50, quality: 60"), "s.yaml:10:33: purifiers[1].quality", "line 10"),
        (changed("steps: 10", '"steps": 10, steps: 10'), "s.yaml:12:31: attacks[0].steps", "line 12"),
    ],
)
def test_004_a_duplicate_key_is_told_with_both_lines(told, text, place, first):
    error = told(text)
    assert error["place"] == place
    assert first in error["problem"]


@pytest.mark.parametrize("key", ["suite", "dataset", "threat", "backbones", "attacks"])
def test_005_a_missing_field_is_told_by_its_path(told, key):
    lines = SUITE.splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{key}:"))
    end = next(i for i in range(start + 1, len(lines)) if not lines[i].startswith((" ", "-")))
    error = told("".join(lines[:start] + lines[end:]))
    assert error["place"].endswith(f": {key}")
    assert error["problem"] == "missing."


@pytest.mark.parametrize(
    ("old", "new", "place", "found"),
    [
        ("  norm: Linf\n", "", "s.yaml:4:3: threat.norm", None),
        ("name: smooth, ", "", "s.yaml:10:5: purifiers[1].name", None),
        ("8/255", "", "s.yaml:5:7: threat.eps", "null"),
    ],
)
def test_005_so_is_one_that_is_missing_further_in(told, old, new, place, found):
    error = told(changed(old, new))
    assert (error["place"], error["found"]) == (place, found)


@pytest.mark.parametrize(
    ("old", "new", "field", "found", "expected"),
    [
        ("8/255", "big", "threat.eps", "the text 'big'", "a number or a fraction"),
        ("{draws: 4, decide: mean, seed: 1}", "[4]", "protocol", "the list [4]", "a map"),
        ("\n  - net:small", " {name: net}", "backbones", "a map", "a list"),
        ("samples: 8", "samples: [8]", "dataset.samples", "the list [8]", "int from 1"),
        ("steps: 10", "steps: ten", "attacks[0].steps", "the text 'ten'", "int from 1"),
        ("decide: mean", "decide: 3", "protocol.decide", "3", "one of mean"),
        ("quality: 50", "gentle: 1", "purifiers[1].gentle", "1", "true or false"),
        ("suite: small", "suite: [a]", "suite", "the list ['a']", "expected text"),
    ],
)
def test_006_a_wrong_type_is_told_with_what_was_expected(told, old, new, field, found, expected):
    error = told(changed(old, new))
    assert error["place"].endswith(f": {field}")
    assert error["found"] == found
    assert expected in error["message"]


@pytest.mark.parametrize(
    ("text", "value"), [("8/255", 8 / 255), ("1e-3", 0.001), ("1E-3", 0.001), (".5", 0.5), ("'8/255'", 8 / 255)]
)
def test_007_fractions_and_exponents_are_numbers_everywhere(write, text, value):
    spec = load_suite(write(changed("8/255", text).replace("steps: 10", f"steps: 10, step_size: {text}")))
    assert spec.threat.eps[0].value == value
    assert rbench("plan", "s.yaml") == 0


@pytest.mark.parametrize(
    ("eps", "advice"), [("8", "8/255"), ("255", "255/255"), ("8.0", "8"), ("1.5", "8/255"), ("16/1", "16")]
)
def test_008_a_radius_of_another_scale_is_refused_with_what_was_meant(told, eps, advice):
    error = told(changed("8/255", eps))
    assert error["place"].endswith(": threat.eps")
    assert "[0, 1]" in error["problem"]
    assert advice in error["remedy"]
    assert "/255" in error["remedy"]


@pytest.mark.parametrize(
    "attack",
    [
        "{name: pgd, step_size: 2}",
        "{name: 'torchattacks:PGD', alpha: 2}",
        "{name: transfer, source: 'net:small', step_size: 2}",
    ],
)
def test_008_so_is_the_length_of_a_step(told, attack):
    error = told(changed("{name: walk, steps: 10}", attack))
    assert (error["found"], error["remedy"]) == ("2", "Write 2/255.")
    assert error["place"].endswith((".step_size", ".alpha"))


@pytest.mark.parametrize(
    "eps",
    [
        "0",
        "0.0",
        "-0.0",
        "0/255",
        "-8/255",
        "-1e-3",
        ".nan",
        ".inf",
        "-.inf",
        "1e-400",
        "1e-12",
        "1/999999999999999999",
        "[8/255, 0]",
    ],
)
def test_009_no_radius_is_refused(told, eps):
    error = told(changed("8/255", eps))
    assert ": threat.eps" in error["place"]
    assert "8/255" in error["remedy"]


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_009_the_least_radius_moves_a_pixel(told, write, norm):
    assert rbench("plan", write(changed("norm: Linf", f"norm: {norm}").replace("8/255", "1e-7"))) == 0
    assert told(changed("norm: Linf", f"norm: {norm}").replace("8/255", "1e-8"))["found"] == "1e-08"


@pytest.mark.parametrize("value", ["0", "-1", "2.5", "1000000000", "true", "'5'", ".nan"])
@pytest.mark.parametrize(
    "attack",
    [
        "{name: walk, steps: VALUE}",
        "{name: pgd, restarts: VALUE}",
        "{name: walk, eot: VALUE}",
        "{name: square, queries: VALUE}",
        "{name: noise, tries: VALUE}",
        "{name: drawn, eot_iter: VALUE}",
        "{name: 'torchattacks:APGD', n_restarts: VALUE}",
    ],
)
def test_010_numbers_of_passes_that_are_none_or_without_end_are_refused(told, attack, value):
    error = told(changed("{name: walk, steps: 10}", attack.replace("VALUE", value)))
    assert error["place"].endswith(attack.split(",")[1].split(":")[0].strip())
    assert error["found"] is not None


LONG = "name: pgd, steps: 100000, restarts: 1000, eot: 100"
HUGE = """\
suite: huge
dataset: {name: fashion-mnist-mini, samples: 8}
threat: {norm: Linf, eps: 0.1}
backbones: [bundled:fashion-cnn]
attacks: [{LONG, as: long}, noise]
""".replace("LONG", LONG)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        (HUGE, "80,000,000,"),
        (HUGE.replace(", samples: 8", ""), ",000,000,"),
        (HUGE.replace(LONG, LONG.replace("pgd", "adaptive")), "84,000,000,"),
        (HUGE.replace(LONG, "name: square, queries: 1000000, restarts: 1000, eot: 100"), "800,000,000,"),
        (HUGE.replace(LONG, "name: 'torchattacks:PGD', steps: 900000").replace("samples: 8", "samples: 100000"), "90,000,"),
    ],
)  # fmt: skip
def test_010_a_plan_shows_what_it_would_take_and_a_run_asks_before_it_makes_a_folder(write, capsys, text, passes):
    path = write(text)
    assert rbench("run", path, "--json") == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["place"] == "--yes"
    assert passes in error["found"]
    assert "long" in error["problem"]
    assert "--yes" in error["remedy"]
    assert not Path("runs").exists()
    assert rbench("plan", path) == 0
    out = capsys.readouterr().out
    assert "--yes" in out
    assert max(map(len, out.splitlines())) <= 80
    assert rbench("plan", path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["asks"]


def test_010_who_means_it_says_so_and_what_is_done_already_is_not_asked_about(write, capsys, monkeypatch):
    path = write(HUGE.replace(f"{{{LONG}, as: long}}, ", ""))
    with monkeypatch.context() as lower:
        lower.setattr(effort, "ASK_ABOVE", 10)
        assert rbench("run", path) == 2
        assert rbench("run", path, "--yes") == 0
        assert rbench("run", path) == 0
    capsys.readouterr()
    assert rbench("plan", path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["asks"] is None


@pytest.mark.parametrize(
    ("old", "new", "kind", "close"),
    [
        ("name: tiny", "name: tinny", "dataset", "tiny"),
        ("net:small", "nett:small", "backbone", "net"),
        ("name: smooth", "name: Smoth", "purifier", "smooth"),
        ("name: walk, steps", "name: wlak, steps", "attack", "walk"),
        ("name: walk, steps", "name: 'torchattacks:PDG', steps", "attack", "PGD"),
        ("eot: 2", "stand_in: identitty, gradient: bpda", "purifier", "identity"),
        ("purifiers:\n", "# \npurifiers:\n", None, None),
    ],
)
def test_011_an_unknown_name_is_told_with_the_nearest_and_where_all_are_listed(told, write, old, new, kind, close):
    if kind is None:
        assert rbench("plan", write(changed(old, new))) == 0
        return
    error = told(
        changed(old, new.replace("gradient: blind, ", ""))
        if "stand_in" not in new
        else changed("gradient: blind, eot: 2", new)
    )
    assert close in error["message"]
    assert kind in error["message"]


def test_011_where_none_is_near_all_are_named(told):
    for old, kind in (("name: tiny", "dataset"), ("name: smooth", "purifier"), ("name: walk, steps", "attack")):
        error = told(changed(old, old.replace(old.split(": ")[1].split(",")[0], "zzzzqqqq")))
        assert f"rbench list {kind}s" in error["remedy"]
        assert all(name in error["remedy"] for name in registry(kind).names())
    assert "attack" in KINDS
