"""Run folders read together: what is comparable stands in one ranking, what is not stands apart and says why."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from made_runs import Made, columns, document, record, verification
from small_runs import rbench

from rbench.results.record import AttackPart
from rbench.results.runs import read_runs
from rbench.results.store import RunFolder
from rbench.results.table import table
from rbench.suite.cell import JUDGE_VERSION, id_of
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

EVERY = [1, 1, 1, 1]
HALF, QUARTER = [1, 1, 0, 0], [1, 0, 0, 0]


def add(
    root,
    attack="pgd",
    *,
    robust=HALF,
    label="jpeg",
    content=None,
    ids=None,
    weights=None,
    verified=False,
    columns_changed=None,
    **changes,
):
    """A finished cell; replaced are with `content` parts of its document, `columns_changed` samples, `changes` fields of its record."""
    folder = RunFolder.create(root)
    cell = document(attack, samples=len(robust), purifier=label)
    for part, values in (content or {}).items():
        cell[part] = {**cell[part], **values} if isinstance(values, dict) else values
    if content:
        cell["id"] = id_of({key: value for key, value in cell.items() if key not in ("id", "labels")})
    samples = {**columns([1] * len(robust), robust), **(columns_changed or {})}
    if ids is not None:
        samples["sample"] = ids
    changes.setdefault("provenance", {"weights_sha256": weights} if weights else {})
    folder.finish(record(cell, **changes), None if changes.get("status") == "failed" else samples)
    if verified:
        folder.write_verification(verification(folder, cell["id"]))
    return cell


def merged(*roots):
    return table(read_runs(roots))


def names(leaderboard):
    return [row["purifier"] for row in leaderboard.rows()]


@pytest.fixture
def a(tmp_path):
    return tmp_path / "A"


@pytest.fixture
def b(tmp_path):
    return tmp_path / "B"


def test_rows_judged_alike_in_two_folders_stand_in_one_ranking_without_a_word(a, b):
    add(a, label="jpeg", robust=HALF)
    add(b, label="blur", robust=QUARTER)
    leaderboard = merged(a, b)
    assert [(row["purifier"], row["rank"]) for row in leaderboard.rows()] == [("jpeg", 1), ("blur", 2)]
    assert len({row["group"] for row in leaderboard.rows()}) == 1
    assert leaderboard.notes == ()


APART = {
    "judge": (
        {"content": {"judge": JUDGE_VERSION + 1}},
        f"judged by version {JUDGE_VERSION + 1} of the rules, not {JUDGE_VERSION}",
    ),
    "norm": ({"content": {"threat": {"norm": "L2"}}}, "norm L2, not Linf"),
    "eps": ({"content": {"threat": {"eps": "4/255"}}}, "eps 4/255, not 8/255"),
    "draws": ({"content": {"protocol": {"draws": 16}}}, "draws 16, not 8"),
    "decide": ({"content": {"protocol": {"decide": "any"}}}, "decide any, not mean"),
    "seed": ({"content": {"protocol": {"seed": 3}}}, "seed 3, not 0"),
    "data set": ({"content": {"dataset": {"name": "npz"}}}, "on npz, not toy"),
    "images": ({"sha256": "fedcba9876543210"}, "on other images or labels (sha256 fedcba98, not data)"),
    "number": ({"robust": [1, 0]}, "2 samples, not 4"),
    "ids": ({"ids": [7, 8, 9, 10]}, "on other samples of the same data set"),
}


@pytest.mark.parametrize("what", APART)
def test_what_was_judged_otherwise_stands_apart_with_its_reason(a, b, what):
    changes, reason = APART[what]
    add(a, label="jpeg", robust=QUARTER)
    add(b, label="blur", **changes)
    leaderboard = merged(a, b)
    assert {row["rank"] for row in leaderboard.rows()} == {1}
    assert len({row["group"] for row in leaderboard.rows()}) == 2
    (note,) = leaderboard.notes
    assert note.startswith(f"{b}: 1 row on toy, ")
    assert note.endswith(f"stands apart: {reason}.")
    assert reason.split(",")[0].split(" (")[0] not in " ".join(merged(a).notes + merged(b).notes)


@pytest.mark.parametrize("order", [("A", "B"), ("B", "A")])
def test_the_newest_rules_come_first(tmp_path, order):
    add(tmp_path / "A", label="old", content={"judge": 3})
    add(tmp_path / "B", label="new", content={"judge": 10})
    add(tmp_path / "B", label="odd", content={"judge": "x"})
    assert names(merged(*(tmp_path / name for name in order))) == ["new", "old", "odd"]


def test_the_same_images_under_other_parameters_of_the_data_set_are_the_same_data(a, b):
    add(a, label="jpeg")
    add(b, label="blur", robust=QUARTER, content={"dataset": {"params": {"path": "moved.npz"}, "version": "2"}})
    leaderboard = merged(a, b)
    assert [row["rank"] for row in leaderboard.rows()] == [1, 2]
    assert leaderboard.notes == ()


def test_several_reasons_are_one_line_and_the_nearest_ranking_is_named(a, b):
    add(a, label="jpeg")
    add(a, label="jpeg", content={"threat": {"eps": "4/255"}})
    add(b, label="blur", content={"threat": {"eps": "4/255"}, "judge": JUDGE_VERSION + 1, "protocol": {"seed": 1}})
    (note,) = merged(a, b).notes
    rules = f"judged by version {JUDGE_VERSION + 1} of the rules, not {JUDGE_VERSION}"
    assert note.endswith(f"stands apart: {rules}; seed 1, not 0.")


def test_a_sweep_in_one_folder_needs_no_explanation(a, b):
    for eps in ("8/255", "4/255"):
        add(a, content={"threat": {"eps": eps}})
    add(b, label="blur", content={"threat": {"eps": "4/255"}})
    assert merged(a).notes == merged(a, b).notes == merged(b, a).notes[1:] == ()
    assert "eps 8/255, not 4/255" in merged(b, a).notes[0]


def test_attacks_of_two_folders_on_one_defended_model_make_one_row(a, b):
    add(a, "pgd", robust=[1, 1, 1, 0])
    add(b, "square", robust=[0, 1, 1, 1])
    (row,) = merged(a, b).rows()
    assert row["robust_accuracy"] == 0.5


def test_attacks_on_other_data_do_not_block_the_row_of_the_other_folder(a, b):
    add(a, "pgd", robust=[1, 1, 1, 0])
    add(b, "square", robust=[0, 1, 1, 1], sha256="another")
    leaderboard = merged(a, b)
    assert [(row["status"], row["robust_accuracy"]) for row in leaderboard.rows()] == [("done", 0.75)] * 2
    assert "other images or labels" in leaderboard.notes[0]


def test_one_cell_judged_on_two_decodings_of_the_data_is_two_rows(a, b):
    first = add(a, robust=HALF)
    second = add(b, robust=QUARTER, sha256="decoded by another library")
    assert first["id"] == second["id"]
    assert sorted(row["robust_accuracy"] for row in merged(a, b).rows()) == [0.25, 0.5]


def test_the_same_label_on_other_weights_is_told_apart_by_its_folder(a, b):
    add(a, label="cropd", robust=HALF, weights="11")
    add(b, label="cropd", robust=QUARTER, weights="22")
    leaderboard = merged(a, b)
    assert [(row["purifier"], row["rank"]) for row in leaderboard.rows()] == [("cropd (A)", 1), ("cropd (B)", 2)]
    assert leaderboard.notes == ("cropd on cnn: 2 rows, not the same defended model: other weights.",)


def test_the_same_label_with_other_parameters_is_told_apart_and_no_other_name_changes(a, b):
    add(a, label="cropd", content={"purifier": {"params": {"width": 8}}})
    add(b, label="cropd", content={"purifier": {"params": {"width": 16}}})
    add(b, label="blur", robust=QUARTER)
    leaderboard = merged(a, b)
    assert names(leaderboard) == ["cropd (A)", "cropd (B)", "blur"]
    assert leaderboard.notes[0].endswith("other purifier.")


def test_where_only_the_backbone_differs_the_backbone_is_marked(a, b):
    add(a, content={"backbone": {"params": {"depth": 1}}})
    add(b, content={"backbone": {"params": {"depth": 2}}})
    rows = merged(a, b).rows()
    assert {row["backbone"] for row in rows} == {"cnn (A)", "cnn (B)"}
    assert {row["purifier"] for row in rows} == {"jpeg"}


def test_folders_of_one_name_are_told_apart_by_a_hash_of_the_content(tmp_path):
    first, second = tmp_path / "one" / "quickstart", tmp_path / "two" / "quickstart"
    add(first, label="cropd", weights="11")
    add(second, label="cropd", weights="22")
    found = names(merged(first, second))
    assert len(set(found)) == 2
    assert all(name.startswith("cropd (") and len(name) == len("cropd (1234567)") for name in found)
    assert sorted(found) == sorted(names(merged(second, first)))


def test_a_name_that_already_looks_like_a_mark_is_not_taken_twice(a, b):
    add(a, label="cropd", weights="11")
    add(a, label="cropd (B)")
    add(b, label="cropd", weights="22")
    assert len(set(names(merged(a, b)))) == 3


def test_equal_results_of_one_cell_count_once_and_the_verified_one_is_used(a, b):
    add(a)
    add(b, verified=True)
    leaderboard = merged(a, b)
    ((cell,),) = leaderboard.cells
    assert (cell.root, cell.verified) == (b, True)
    assert leaderboard.notes == ()
    assert merged(b, a).cells[0][0].root == b
    assert merged(a, a).cells[0][0].root == a


@pytest.mark.parametrize(
    ("verified", "used", "why"),
    [
        ((False, False), "A", "is used."),
        ((False, True), "B", "is used, because it is verified."),
        ((True, False), "A", "is used, because it is verified."),
        ((True, True), "A", "is used."),
    ],
)
def test_another_result_of_one_cell_is_said_so_and_which_is_used(a, b, verified, used, why):
    cell = add(a, robust=HALF, result_hash="1" * 64, verified=verified[0])
    add(b, robust=QUARTER, result_hash="2" * 64, verified=verified[1])
    leaderboard = merged(a, b)
    assert leaderboard.rows()[0]["robust_accuracy"] == {"A": 0.5, "B": 0.25}[used]
    (note,) = leaderboard.notes
    assert note.startswith(f"{b}: cell {cell['id']} (cnn/jpeg/pgd) has another outcome than in {a}; ")
    assert note.endswith(f"that of {a.parent / used} {why}")


def test_other_samples_under_the_same_hash_are_another_result(a, b):
    add(a, robust=HALF)
    add(b, robust=QUARTER)
    assert "another outcome" in merged(a, b).notes[0]


def test_a_failed_cell_gives_way_to_a_done_one_and_is_mentioned(a, b):
    made = Made(a)
    made.other("pgd", "failed")
    add(b)
    leaderboard = merged(a, b)
    assert leaderboard.rows()[0]["status"] == "done"
    assert "failed there" in leaderboard.notes[0]
    made.other("square", "missing")
    made.plan()
    assert merged(a, b).rows()[0]["status"] == "missing: square"


def test_an_unverified_row_never_ranks_above_a_verified_one(a):
    add(a, label="best", robust=[1, 1, 1, 0])
    add(a, label="sure", robust=QUARTER, verified=True)
    add(a, label="surer", robust=HALF, verified=True)
    add(a, label="worst", robust=[0, 0, 0, 0])
    ranks = [(row["purifier"], row["rank"]) for row in merged(a).rows()]
    assert ranks == [("surer", 1), ("sure", 2), ("best", 3), ("worst", 4)]


def test_a_rank_is_shared_only_by_rows_that_are_verified_alike(a):
    for label, verified in {"a": True, "b": True, "c": False, "d": False}.items():
        add(a, label=label, verified=verified)
    Made(a).other("pgd", "failed", purifier="e")
    ranks = [(row["purifier"], row["rank"]) for row in merged(a).rows()]
    assert ranks == [("a", 1), ("b", 1), ("c", 3), ("d", 3), ("e", None)]


def test_which_rows_cannot_be_told_apart_does_not_depend_on_who_is_verified(a, b):
    right = {"x": 100, "y": 97, "z": 60}  # x and y cannot be told apart; verified, y and z rank above x
    for label, k in right.items():
        for root, verified in ((a, ()), (b, ("y", "z"))):
            add(root, label=label, robust=[1] * k + [0] * (200 - k), verified=label in verified)
    flagged = [{row["purifier"] for row in merged(root).rows() if "few-samples" in row["flags"]} for root in (a, b)]
    assert names(merged(b)) == ["y", "z", "x"]
    assert flagged == [{"x", "y"}] * 2


# --- the same work on another day ---------------------------------------------------------------------------------


def day(code, *, files=None, kind=True, batch_size=None, **versions):
    """The content of a cell as it was planned on a day: the code of every component, its files, and what cells said of their threat."""
    parts = {part: {"version": versions.get(part, code)} for part in ("dataset", "backbone", "purifier", "attack")}
    if files:
        parts["purifier"]["files"] = files
    if batch_size:
        parts["attack"]["params"] = {"as": "pgd", "batch_size": batch_size}
    return {**parts, **({"threat": {"kind": "ball"}} if kind else {})}


OLD, NEW = day("rbench 0.1.0+old", kind=False, files={"w": "1"}), day("rbench+new", files={"w": "2"})


def test_a_cell_is_the_same_whatever_code_and_files_were_on_the_day_and_a_note_says_what_changed(a, b):
    add(a, content=OLD, weights="11")
    add(b, content=NEW, weights="11")
    leaderboard = merged(a, b)
    ((cell,),) = leaderboard.cells
    assert cell.root == a
    assert leaderboard.notes == (
        f"dataset 'toy': other code in {b} than in {a}.",
        f"backbone 'cnn': other code in {b} than in {a}.",
        f"purifier 'jpeg': other code and files in {b} than in {a}.",
        f"attack 'pgd': other code in {b} than in {a}.",
    )


def test_a_component_that_changed_is_named_once_for_all_its_cells(a, b):
    for attack in ("pgd", "apgd"):
        for label in ("jpeg", "blur"):
            add(a, attack, label=label, content=day("1"), weights=label)
            add(b, attack, label=label, content=day("1", backbone="2"), weights=label)
    leaderboard = merged(a, b)
    assert [len(cells) for cells in leaderboard.cells] == [2, 2]
    assert leaderboard.notes == (f"backbone 'cnn': other code in {b} than in {a}.",)


def test_attacks_of_two_days_on_one_defended_model_make_one_row(a, b):
    add(a, "pgd", robust=[1, 1, 1, 0], content=OLD, weights="11")
    add(b, "square", robust=[0, 1, 1, 1], content=NEW, weights="11")
    leaderboard = merged(a, b)
    (row,) = leaderboard.rows()
    assert row["robust_accuracy"] == 0.5
    assert not any(note.startswith("attack") for note in leaderboard.notes), "no attack was compared with another"


@pytest.mark.parametrize(
    "changed", [{"clean": [1, 1, 0, 1]}, {"clean_predictions": [[0], [1], [2], [9]]}], ids=["accuracy", "classes"]
)
def test_other_code_that_answers_otherwise_without_an_attack_stands_apart_with_a_note(a, b, changed):
    add(a, content=day("1"), weights="11")
    add(b, content=day("1", purifier="2"), weights="11", columns_changed=changed)
    leaderboard = merged(a, b)
    assert names(leaderboard) == ["jpeg (A)", "jpeg (B)"]
    assert leaderboard.notes == (
        f"{b}: jpeg on cnn stands apart from that of {a}: other predictions without an attack. "
        f"purifier 'jpeg': other code in {b} than in {a}.",
        "jpeg on cnn: 2 rows, not the same defended model: other code or files of the purifier.",
    )


APART_ON_ANOTHER_DAY = {
    "weights": {"weights": "22"},
    "images": {"sha256": "another"},
    "ids": {"ids": [7, 8, 9, 10]},
    "judge": {"content": {**NEW, "judge": JUDGE_VERSION + 1}},
    "parameters": {"content": {**NEW, "purifier": {"version": "rbench+new", "params": {"quality": 50}}}},
    "nothing done": {"status": "failed"},
}


@pytest.mark.parametrize("what", APART_ON_ANOTHER_DAY)
def test_other_code_and_anything_else_is_another_row(a, b, what):
    add(a, content=OLD, weights="11")
    add(b, **{"content": NEW, "weights": "11", **APART_ON_ANOTHER_DAY[what]})
    leaderboard = merged(a, b)
    assert len(leaderboard.cells) == 2
    assert not any("than in" in note for note in leaderboard.notes)


def test_where_nobody_knows_the_weights_other_code_is_another_row(a, b):
    add(a, content=OLD)
    add(b, content=NEW)
    assert len(merged(a, b).cells) == 2


def test_within_one_folder_other_code_or_another_batch_size_is_another_cell(a):
    for content in (day("1"), day("1", purifier="2"), day("1", batch_size=128), day("1", batch_size=256)):
        add(a, content=content, weights="11")
    leaderboard = merged(a)
    assert sorted(len(cells) for cells in leaderboard.cells) == [1, 3]


@pytest.mark.parametrize(("sizes", "cells"), [((128, 128), 1), ((128, 256), 2), ((128, None), 1), ((None, 128), 1)])
def test_a_batch_size_that_counts_no_more_keeps_no_cell_apart(a, b, sizes, cells):
    for root, size in zip((a, b), sizes, strict=True):
        add(root, content=day("1", batch_size=size), weights="11")
    assert [len(row) for row in merged(a, b).cells] == [cells]


def test_of_two_batch_sizes_in_one_folder_each_meets_its_own_in_the_other(a, b):
    small, large = (add(a, content=day("1", batch_size=size), weights="11") for size in (128, 256))
    again = add(b, content=day("2", batch_size=256), weights="11", verified=True)
    (cells,) = merged(a, b).cells
    assert {cell.id: cell.root for cell in cells} == {small["id"]: a, again["id"]: b}
    assert large["id"] != again["id"]


def test_the_attacks_of_a_row_stay_in_the_order_of_the_plan(a):
    attacks = {"pgd": 128, "square": None, "again": 256}
    planned = [
        add(a, attack, content={"attack": {"name": "pgd", "params": {"batch_size": size}}})
        for attack, size in attacks.items()
    ]
    RunFolder(a).write_cells(planned)
    assert [[cell.label("attack") for cell in cells] for cells in merged(a).cells] == [list(attacks)]


@pytest.mark.parametrize("again", ["1", "2"])
def test_an_attack_that_is_there_twice_with_other_files_meets_its_own_in_the_other_folder(a, b, again):
    ids = {sha: add(a, content={"attack": {"files": {"source": sha}}}, weights="11")["id"] for sha in ("1", "2")}
    add(b, content={"attack": {"files": {"source": again}}}, weights="11", verified=True)
    (cells,) = merged(a, b).cells
    assert {cell.id: cell.root for cell in cells} == {cell_id: b if sha == again else a for sha, cell_id in ids.items()}


def test_what_is_not_done_joins_the_first_result_of_its_code_and_keeps_its_order(tmp_path):
    a, b, c = (tmp_path / name for name in "ABC")
    started = Made(a)
    for attack in ("square", "pgd"):
        started.other(attack, "missing")
    started.plan()
    for root, data in ((b, "data"), (c, "another")):
        add(root, "pgd", sha256=data)
    leaderboard = merged(a, b, c)
    assert [[(cell.label("attack"), cell.root) for cell in cells] for cells in leaderboard.cells] == [
        [("square", a), ("pgd", b)],
        [("pgd", c)],
    ]


def test_what_is_not_done_joins_its_own_code_though_another_came_first(tmp_path):
    a, b, c = (tmp_path / name for name in "ABC")
    add(a, content=day("1"), weights="11")
    add(b, content=day("2"), status="failed")
    add(c, content=day("2"), weights="11")
    leaderboard = merged(a, b, c)
    assert [[cell.root for cell in cells] for cells in leaderboard.cells] == [[a]]
    assert "failed there" in " ".join(leaderboard.notes)


def test_another_stand_in_code_is_said_so(a, b):
    for root, version in ((a, "1"), (b, "2")):
        add(root, content={"attack": {"stand_in": {"name": "blur", "version": version}}}, weights="11")
    assert merged(a, b).notes == (f"stand-in 'blur': other code in {b} than in {a}.",)


def test_a_cell_whose_parts_are_no_parts_is_read_all_the_same(a, b):
    for root, version in ((a, "1"), (b, "2")):
        add(root, content={"attack": {"stand_in": "?", "params": "?", "version": version}}, weights="11")
    assert len(merged(a, b).cells) == 1


SUITE = """\
suite: halves
dataset: {{name: npz, path: {data}, samples: 24}}
threat: {{norm: Linf, eps: 0.05}}
backbones: [bundled:fashion-cnn]
purifiers: [identity, {{name: bit-depth, bits: 4}}]
attacks: [{{name: noise}}, {{name: fgsm, gradient: blind}}]
"""


def test_halves_of_a_suite_run_on_two_machines_merge_by_reading_and_by_copying(tmp_path):
    import numpy as np

    rng = np.random.default_rng(0)
    images, labels = rng.random((24, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, 24)
    runs = {}
    for machine, chosen in {"left": "*/identity/*", "right": "*/bit-depth/*"}.items():
        home = tmp_path / machine / "a place of its own"
        home.mkdir(parents=True)
        np.savez(home / "data.npz", images=images, labels=labels)
        (home / "suite.yaml").write_text(SUITE.format(data=json.dumps(str(home / "data.npz"))))
        runs[machine] = home / "run"
        assert rbench("run", home / "suite.yaml", "--out", runs[machine], "--only", chosen) == 0
    left, right = runs.values()
    assert {row["status"] for row in merged(left).rows()} == {"done", "missing: noise, fgsm"}
    together = merged(left, right)
    assert [row["status"] for row in together.rows()] == ["done", "done"]
    assert together.notes == ()

    one = tmp_path / "one"
    shutil.copytree(left, one)
    for part in ("records", "samples", "images"):
        shutil.copytree(right / part, one / part, dirs_exist_ok=True)
    copied = merged(one)
    assert copied.rows() == together.rows()
    assert copied.notes == copied.broken == ()


def test_a_cell_has_one_id_wherever_its_files_are(tmp_path):
    import numpy as np

    ids = []
    for home in (tmp_path / "x", tmp_path / "y" / "z"):
        home.mkdir(parents=True)
        np.savez(home / "data.npz", images=np.zeros((24, 1, 28, 28), np.float32), labels=np.zeros(24, np.int64))
        (home / "suite.yaml").write_text(SUITE.format(data=json.dumps(str(home / "data.npz"))))
        ids.append([cell.id for cell in plan(load_suite(home / "suite.yaml", ())).cells])
    assert ids[0] == ids[1]


def test_the_label_of_the_attack_is_the_first_folders(a, b):
    add(a, "pgd")
    cell = document("pgd", samples=4)
    cell["labels"]["attack"] = "renamed"
    named = AttackPart(name="pgd", label="renamed")
    RunFolder.create(b).finish(record(cell, attack=named), columns([1] * 4, HALF))
    (cells,) = merged(a, b).cells
    assert [cell.label("attack") for cell in cells] == ["pgd"]


def test_paths_in_notes_are_those_that_were_given(tmp_path, monkeypatch):
    add(tmp_path / "A")
    add(tmp_path / "B", content={"judge": JUDGE_VERSION + 1})
    monkeypatch.chdir(tmp_path)
    assert merged(Path("A"), Path("B")).notes[0].startswith("B: 1 row on toy")


def test_reading_keeps_every_folders_cells(a, b):
    add(a)
    add(b)
    cells = read_runs([a, b, a]).cells
    assert [cell.root for cell in cells] == [a, b]
    assert replace(cells[0], root=b, samples=None) == replace(cells[1], samples=None)
