"""Rows 12 to 18 of the fault table: suites without end, with code, of other folders, alike, with variables, of later versions."""

import json
import unicodedata
from pathlib import Path

import pytest
from costs import allocated
from fake_plugins import SUITE
from small_runs import rbench
from suite_errors import changed

from rbench import __version__
from rbench.suite.document import MAX_BYTES, MAX_DEPTH

BOMBS = {
    "aliases of aliases": (
        "a: &a0 [x, x]\n" + "".join(f"a{i}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(30)),
        "alias",
    ),
    "an alias of itself": ("a: &a [*a]\n", "alias"),
    "a merge of itself": ("a: &a {<<: *a}\n", "alias"),
    "lists in lists": ("a: " + "[" * 10_000, f"{MAX_DEPTH} deep"),
    "maps in maps": ("".join(" " * i + "a:\n" for i in range(1_000)), f"{MAX_DEPTH} deep"),
    "dashes": ("- " * 10_000 + "x", f"{MAX_DEPTH} deep"),
    "values": ("a: [" + "1," * 60_000 + "]", "50,000 values"),
    "one value": ("suite: " + "a" * 900_000, ""),
}


@pytest.mark.parametrize("name", BOMBS)
def test_012_a_bomb_is_refused_by_its_limit(told, name):
    text, limit = BOMBS[name]
    error = told(text)
    assert limit in error["problem"] + str(error["found"])
    assert len(error["message"]) < 500


def test_012_a_bomb_of_aliases_takes_little_memory(told):
    assert allocated(lambda: told(BOMBS["aliases of aliases"][0])) < 10 << 20


def test_012_a_file_of_100_megabytes_is_refused_unread(told, write):
    write()
    with Path("big.yaml").open("wb") as file:
        file.truncate(100 << 20)
    errors = []
    assert allocated(lambda: errors.append(told(path="big.yaml"))) < 10 * MAX_BYTES
    assert errors[0]["found"] == "104,857,600 bytes"
    assert f"{MAX_BYTES:,}" in errors[0]["problem"]


def test_012_an_override_without_end_is_refused_as_well(told):
    for text in ("suite=" + "[" * 5_000, "a" * 20_000 + "=1", "suite=" + "a" * 20_000):
        assert len(told(SUITE, "--set", text)["message"]) < 500


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:pathlib.Path.touch",
        "!!python/object/new:pathlib.PosixPath",
        "!!python/name:os.system",
        "!!python/module:marker",
        "!!binary",
        "!!set",
        "!include",
        "!",
    ],
)
def test_013_a_tag_is_refused_and_runs_nothing(told, tag):
    for text in (f"suite: {tag} [marker]\n", changed("quality: 50", f"quality: {tag} 'marker'")):
        error = told(text)
        assert error["found"].startswith("the tag") or tag == "!"
    assert not Path("marker").exists()


@pytest.mark.parametrize("name", ["../up", "/tmp/x", "a/b", "..", ".hidden", "a\\b", "C:x", "~", "$HOME", "a b", ""])
def test_014_a_suite_cannot_name_a_folder_elsewhere(told, name):
    error = told(changed("suite: small", f"suite: {json.dumps(name)}"))
    assert error["place"] == "s.yaml:1:8: suite"


@pytest.mark.parametrize(
    "name",
    ["records", "samples", "images", "gallery", "chunks", "audits", "verified", "figures", "chunks/0123456789ab"],
)
def test_014_a_link_out_of_the_run_folder_is_refused_before_anything_is_written(write, capsys, name):
    path = write()
    link, elsewhere = Path("run") / name, Path("elsewhere")
    link.parent.mkdir(parents=True)
    (Path("run") / "cells.jsonl").touch()
    elsewhere.mkdir()
    (elsewhere / "0-4.safetensors").write_text("mine")
    link.symlink_to(elsewhere.resolve())
    assert rbench("run", path, "--out", "run") == 2
    assert f"run/{name}" in capsys.readouterr().err
    assert {p.name for p in Path("run").iterdir()} == {"cells.jsonl", name.split("/")[0]}
    assert [p.read_text() for p in elsewhere.iterdir()] == ["mine"]


ACCENT = unicodedata.normalize("NFD", "café")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("same", "same"),
        ("Same", "sAME"),
        ("caf\u00e9", ACCENT),
        ("Stra\u00dfe", "STRASSE"),
        ("\uff4apeg", "jpeg"),
    ],
)
def test_015_two_labels_that_readers_would_mix_up_are_told_with_both_lines(told, first, second):
    text = changed("quality: 50", f'quality: 50, as: "{first}"').replace(
        "attacks:", f'  - {{name: smooth, quality: 60, as: "{second}"}}\nattacks:'
    )
    error = told(text)
    assert error["place"].startswith("s.yaml:11:")
    assert "line 10" in error["problem"]


def test_015_two_cells_that_are_the_same_work_are_told_with_both_lines(told):
    error = told(changed("gradient: blind, eot: 2", "steps: 10, as: other"))
    assert error["place"].startswith("s.yaml:13:")
    assert "line 12" in error["problem"]


@pytest.mark.parametrize("key", ["include", "includes", "import", "extends", "defaults"])
def test_016_a_suite_reads_no_other_file(told, key):
    error = told(f"{key}: s.yaml\n{SUITE}")
    assert error["place"] == f"s.yaml:1:1: {key}"
    assert "one file" in error["problem"]
    assert told(changed("{name: tiny, samples: 8}", "!include s.yaml"))["found"] == "the tag '!include'"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("name: tiny", "name: stored, path: '${DATA}/x.npz'", "dataset.path"),
        ("name: tiny", "name: 'stored:${DATA}/x.npz'", "dataset.name"),
        ("suite: small", "suite: ${NAME:-small}", "suite"),
        ("quality: 50", "note: '${HOME}'", "purifiers[1].note"),
        ("8/255", "${EPS}", "threat.eps"),
    ],
)
def test_017_a_variable_is_told_by_path_and_name_and_never_kept_as_it_is(told, old, new, field):
    error = told(changed(old, new))
    assert error["place"].endswith(f": {field}")
    assert error["found"].startswith("${")


def test_017_so_it_is_where_yaml_cannot_read_it(told):
    error = told(changed("quality: 50", "note: ${HOME}"))
    assert error["place"].startswith("s.yaml:10:")
    assert "${" in error["remedy"]


@pytest.mark.parametrize("path", ["$DATA/x.npz", "~/x.npz", "a/$DATA/x.npz"])
def test_017_a_path_that_a_shell_would_have_expanded_says_so(told, monkeypatch, path):
    monkeypatch.setenv("DATA", "/tmp")
    error = told(changed("name: tiny", f"name: stored, path: {path}"))
    assert error["place"] == "s.yaml:2:31: dataset.path"
    assert path in error["problem"]
    assert "variables" in error["remedy"]


@pytest.mark.parametrize("key", ["schema", "version", "schema_version", "rbench"])
def test_018_a_suite_of_a_later_version_is_told_what_reads_it(told, key):
    error = told(f"{key}: 2\n{SUITE}")
    assert error["place"] == f"s.yaml:1:1: {key}"
    assert f"rbench {__version__}" in error["problem"]
    assert "later" in error["problem"]
