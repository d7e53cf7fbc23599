"""RobustBench's model_info: their fields in their form, what a run knows and nothing more, files that lead nowhere else."""

import json
from pathlib import Path, PurePosixPath

import pytest
from made_runs import Made

from rbench import reports
from rbench.registry import registry
from rbench.reports.robustbench import report
from rbench.results.record import AttackPart, Flag
from rbench.results.runs import read_runs
from rbench.results.table import table

ROOT = Path(__file__).parents[2]
EVERY = [1, 1, 1, 1]
THEIRS = [
    "link",
    "name",
    "authors",
    "additional_data",
    "number_forward_passes",
    "dataset",
    "venue",
    "architecture",
    "eps",
    "clean_acc",
    "reported",
]
"""Of every file in model_info/cifar10/Linf of the RobustBench repository; then come the accuracies, `footnote` and `unreliable`."""


def made_files(root):
    return {place: json.loads(text) for place, text in report(table(read_runs([root]))).items()}


def autoattack(version="standard", gradient="exact", eot=1):
    attack = AttackPart(
        name="autoattack", label="aa", params={"version": version, "batch_size": 8}, gradient=gradient, eot=eot
    )
    return {"attack": attack}


def only(files):
    (content,) = files.values()
    return content


def test_a_file_has_their_fields_in_their_form(tmp_path):
    made = Made(tmp_path)
    made.done("pgd", clean=[1, 1, 1, 0], robust=[1, 0, 0, 0], verified=True)
    made.done("aa", clean=[1, 1, 1, 0], robust=[1, 1, 0, 0], record_changes=autoattack(), verified=True)
    files = made_files(tmp_path)
    assert list(files) == ["model_info/toy/Linf/cnn_jpeg.json"]
    content = only(files)
    assert list(content) == [*THEIRS, "autoattack_acc", "external", "footnote", "unreliable"]
    assert [content[name] for name in ("dataset", "eps", "clean_acc")] == ["toy", "8/255", "75.00"]
    assert (content["autoattack_acc"], content["external"]) == ("50.00", "25.00")
    assert content["architecture"] == "cnn behind jpeg"
    assert content["number_forward_passes"] == 1
    assert content["unreliable"] is False
    unknown = ("link", "name", "authors", "additional_data", "venue", "reported")
    assert {content[name] for name in unknown} == {None}


def test_the_footnote_says_what_stands_behind_the_number(tmp_path):
    made = Made(tmp_path)
    flags = (Flag(name="zero-gradients", value=1.0),)
    right = [[1, 1], [1, 0]]
    made.done(
        "bpda+eot",
        clean=right,
        robust=right,
        cell_changes={"draws": 2},
        record_changes={"stochastic": True, "gradient": "bpda", "flags": flags},
        verified=True,
    )
    made.done(
        "aa",
        clean=right,
        robust=[[1, 1], [1, 1]],
        cell_changes={"draws": 2},
        record_changes={"stochastic": True, **autoattack("rand", "bpda", 20)},
        verified=False,
    )
    note = only(made_files(tmp_path))["footnote"]
    assert "The purifier jpeg stands in front of a frozen cnn." in note
    assert "75.00% robust accuracy (95% interval " in note
    assert "is the worst case over " in note
    assert "judged by rbench on 2 samples." in note
    assert "AutoAttack: rand, engine reference, gradient path bpda, 20 draw(s) per gradient." in note
    assert "Strongest attack: bpda+eot, gradient path bpda." in note
    assert "the mean of 2 draws for each sample" in note
    assert "zero-gradients" in note
    assert "few-samples" in note
    assert "Unverified: the adversarial examples have not been judged again." in note
    assert only(made_files(tmp_path))["unreliable"] is True


@pytest.mark.parametrize(
    ("changes", "purifier", "expected"),
    [
        (autoattack("standard"), "jpeg", "100.00"),
        (autoattack("plus", "bpda"), "jpeg", "100.00"),
        (autoattack("rand"), "jpeg", "100.00"),
        (autoattack("custom"), "jpeg", None),
        (autoattack("standard", "blind"), "jpeg", None),
        (autoattack("standard", "blind"), "identity", "100.00"),
        ({}, "jpeg", None),
    ],
)
def test_the_autoattack_field_is_there_only_where_autoattack_attacked_all_of_it(tmp_path, changes, purifier, expected):
    made = Made(tmp_path)
    made.done("aa", clean=EVERY, robust=EVERY, cell_changes={"purifier": purifier}, record_changes=changes)
    made.done("pgd", clean=EVERY, robust=[1, 1, 1, 0], cell_changes={"purifier": purifier})
    content = only(made_files(tmp_path))
    assert content.get("autoattack_acc") == expected
    assert content["external"] == "75.00"


def test_where_autoattack_found_the_worst_case_there_is_no_external_number(tmp_path):
    made = Made(tmp_path)
    made.done("aa", clean=EVERY, robust=[1, 1, 0, 0], record_changes=autoattack())
    made.done("pgd", clean=EVERY, robust=[1, 1, 1, 0])
    content = only(made_files(tmp_path))
    assert content["autoattack_acc"] == "50.00"
    assert "external" not in content


def test_a_bare_backbone_has_no_purifier_in_its_file(tmp_path):
    Made(tmp_path).done("pgd", clean=EVERY, robust=EVERY, cell_changes={"purifier": "identity"})
    content = only(made_files(tmp_path))
    assert content["architecture"] == "cnn"
    assert "purifier" not in content["footnote"]


def test_a_row_without_a_number_has_no_file(tmp_path):
    made = Made(tmp_path)
    made.done("pgd", clean=EVERY, robust=EVERY)
    made.other("square", "failed")
    assert made_files(tmp_path) == {}


def test_a_majority_takes_one_pass_a_draw(tmp_path):
    right = [[1, 1, 0], [1, 0, 0]]
    changes = {"decide": "majority", "draws": 3}
    Made(tmp_path).done("pgd", clean=right, robust=right, cell_changes=changes, record_changes={"stochastic": True})
    assert only(made_files(tmp_path))["number_forward_passes"] == 3


def test_every_row_has_its_own_file_even_where_file_names_are_blind_to_case(tmp_path):
    made = Made(tmp_path)
    for purifier in ("a/b", "a:b", "a b", "A-B", "ä", "ü", "x" * 300, "x" * 301):
        made.done("pgd", clean=EVERY, robust=EVERY, cell_changes={"purifier": purifier})
    made.done("pgd", clean=EVERY, robust=EVERY, cell_changes={"purifier": "a b", "eps": "4/255"})
    files = made_files(tmp_path)
    assert len({place.lower() for place in files}) == len(files) == 9
    assert max(len(PurePosixPath(place).name) for place in files) < 150


HOSTILE = [
    "../../../etc/passwd",
    "/etc/passwd",
    "C:\\Windows\\system32",
    "..",
    ".",
    "CON",
    "nul.json",
    " ",
    "-rf",
    "a\nb\r\0c",
    "\u202egnp.exe",
    "<script>alert(1)</script>",
    "$(rm -rf ~)",
    "{{ 7*7 }}",
    "\ud83d\ude08".encode("utf-16", "surrogatepass").decode("utf-16"),
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_leads_out_of_the_folder_or_acts_on_a_page(tmp_path, name):
    made = Made(tmp_path / "run")
    for part in ("purifier", "backbone", "dataset"):
        made.done("pgd", clean=EVERY, robust=EVERY, cell_changes={part: name})
    leaderboard = table(read_runs([made.root]))
    written = reports.write(leaderboard, tmp_path / "out", ["robustbench"])
    assert len(written) == 3
    home = (tmp_path / "out" / "model_info").resolve()
    for path in written:
        assert path.resolve().is_relative_to(home)
        parts = path.relative_to(tmp_path / "out").with_suffix("").parts
        assert all(part.strip("-. ") and "." not in part and part.isascii() and part.isprintable() for part in parts)
        assert not {part.lower() for part in parts} & {"con", "nul", "aux", "prn"}
        content = json.loads(path.read_text())
        shown = [value for value in content.values() if isinstance(value, str)]
        assert not any(mark in text for text in shown for mark in ("<", "\n", "\0", "\u202e"))


def test_it_is_a_reporter_that_the_command_line_knows():
    assert "robustbench" in registry("reporter").names()
    assert registry("reporter").get("robustbench").load() is report


def test_the_committed_cifar10_rows_are_what_the_leaderboard_says():
    leaderboard = table(read_runs([ROOT / "results" / "cifar10-linf"]))
    files = {place: json.loads(text) for place, text in report(leaderboard).items()}
    attacked = {
        row["purifier"]
        for row, cells in zip(leaderboard.rows(), leaderboard.cells, strict=True)
        if any(cell.record.attack.name == "autoattack" and cell.record.attack.gradient != "blind" for cell in cells)
    }
    assert attacked
    assert len(files) == len(leaderboard.frame)
    for row, content in zip(leaderboard.rows(), files.values(), strict=True):
        assert ("autoattack_acc" in content) == (row["purifier"] in attacked)
        assert content.get("external", content.get("autoattack_acc")) == f"{100 * row['robust_accuracy']:.2f}"
