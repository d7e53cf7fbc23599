"""Forgeries of a whole folder, each made to agree with itself: plans, names, policies, flags, pictures, tables and models that remember."""

import json
import shutil

import numpy as np
import pytest
import small_runs
from forger import Cheat
from small_runs import SUITE, rbench, without

from rbench.results.gallery import Gallery
from rbench.results.runs import read_runs
from rbench.results.store import RunFolder
from rbench.results.table import table
from rbench.suite import cell as rules
from rbench.verifying.again import ONCE_MORE

PLAIN, STRONG, RANDOM = "identity/fgsm", "identity/pgd", "gaussian-noise/pgd+eot"
FOUR = SUITE.replace(
    "  - {name: autoattack, version: custom, attacks: [apgd-ce], batch_size: 8, purifiers: [identity]}\n", ""
)
FOUR = FOUR.replace("attacks:\n", "attacks:\n  - {name: fgsm, purifiers: [identity]}\n")
FOUR = FOUR.replace("select_draws: 8}", "select_draws: 4}")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    (folder / "small.yaml").write_text(FOUR)
    assert rbench("run", folder / "small.yaml", "--out", folder / "run", "--set", "threat.eps=0.02") == 0
    return folder / "run"


@pytest.fixture
def root(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


def verify(root, capsys, *options, code=4):
    ended, found, _ = small_runs.verify(root, capsys, *(options or ("--survivors", "0")))
    assert ended == code, found
    return found


def faults(found):
    return "\n".join(small_runs.faults(found))


# --- the suite ----------------------------------------------------------------------------------------------------


def strongest_deleted(cheat):
    cheat.drop()


def eps_text_changed(cheat):
    for path in cheat.folder.record_paths():
        path.write_text(path.read_text().replace('"eps_text": "0.02"', '"eps_text": "8/255"'))


def radius_changed(cheat):
    cheat.say(lambda cell: cell | {"threat": cell["threat"] | {"eps": "1/10"}})
    for path in cheat.folder.record_paths():
        content = json.loads(path.read_text())
        content["threat"] |= {"eps": 0.1, "eps_text": "0.1"}
        path.write_text(json.dumps(content))


def data_renamed(cheat):
    cheat.rename("dataset", "imagenet")


def backbone_renamed(cheat):
    cheat.rename("backbone", "vit-huge")


def purifier_renamed(cheat):
    cheat.rename("purifier", "mine")


def attack_renamed(cheat):
    cheat.rename("attack", "autoattack")


def registry_name_of_the_data_changed(cheat):
    cheat.record["dataset"]["name"] = "imagenet"
    cheat.write()


def classes_changed(cheat):
    cheat.record["dataset"]["classes"] = 1000
    cheat.write()


def steps_raised(cheat):
    """A longer attack is claimed than was run."""

    def change(cell):
        if cell["attack"]["name"] == "pgd":
            cell["attack"]["params"]["steps"] = 1000
        return cell

    cheat.say(change)
    for path in cheat.folder.record_paths():
        content = json.loads(path.read_text())
        content["attack"]["params"] = content["cell"]["attack"]["params"]
        path.write_text(json.dumps(content))


def more_samples_claimed(cheat):
    cheat.say(lambda cell: cell | {"dataset": cell["dataset"] | {"samples": 1000}})


def seed_chosen(cheat):
    """Another seed is claimed, as if the best of many had not been picked."""
    cheat.say(lambda cell: cell | {"protocol": cell["protocol"] | {"seed": 7}})
    for path in cheat.folder.record_paths():
        content = json.loads(path.read_text())
        content["protocol"]["seed"] = 7
        path.write_text(json.dumps(content))


def plan_deleted(cheat):
    """Without a plan only what was recorded counts, and the strongest attack was not."""
    cheat.drop()
    (cheat.root / "cells.jsonl").unlink()


def strongest_of_other_rules(cheat):
    """The strongest attack is said to be of other rules, so that it stands in another ranking."""

    def change(cell):
        return cell | {"judge": 0} if cell["labels"]["attack"] == "pgd" else cell

    cheat.say(change)


BY_THE_SUITE = {
    strongest_deleted: "row: 1 of 2 planned cells; suite.yaml plans pgd",
    plan_deleted: "row: 1 of 2 planned cells; suite.yaml plans pgd",
    strongest_of_other_rules: "row: 1 of 2 planned cells; suite.yaml plans pgd",
    eps_text_changed: "threat.eps_text: '8/255' is what tables print, the cell has 0.02",
    radius_changed: "does not ask for this cell",
    data_renamed: "dataset: shown as 'imagenet', suite.yaml calls it 'fashion-mnist-mini'",
    backbone_renamed: "backbone: shown as 'vit-huge'",
    purifier_renamed: "purifier: shown as 'mine'",
    attack_renamed: "attack: shown as 'autoattack'",
    registry_name_of_the_data_changed: "dataset: 'imagenet', the cell has 'fashion-mnist-mini'",
    classes_changed: "dataset.classes: 1000, the model tells 10 apart",
    steps_raised: "does not ask for this cell",
    more_samples_claimed: "does not ask for this cell",
    seed_chosen: "does not ask for this cell",
}
"""Forgeries that the suite beside the results belies, and what is said of them."""


@pytest.mark.parametrize(("forge", "said"), [pytest.param(*case, id=case[0].__name__) for case in BY_THE_SUITE.items()])
def test_what_the_suite_belies_is_found(root, capsys, forge, said):
    cheat = Cheat(root, STRONG)
    forge(cheat)
    cheat.report()
    online = forge in (classes_changed,)
    assert said in faults(verify(root, capsys, *([] if online else ["--offline"])))


def test_a_row_that_lacks_its_strongest_attack_is_blocked_by_name_and_not_verified(root, capsys):
    verify(root, capsys, code=0)
    assert table(read_runs([root])).frame["verified"].all()
    cheat = Cheat(root, STRONG)
    cheat.drop()
    frame = table(read_runs([root])).frame.set_index("purifier")
    assert frame["status"].to_dict() == {"identity": "missing: pgd", "gaussian-noise": "done"}
    assert frame["robust_accuracy"].isna().to_dict() == {"identity": True, "gaussian-noise": False}
    verify(root, capsys)
    frame = table(read_runs([root])).frame.set_index("purifier")
    assert frame["verified"].to_dict() == {"identity": False, "gaussian-noise": True}
    assert not RunFolder(root).verified_path(Cheat(root, PLAIN).id).exists()


def test_a_row_of_which_a_part_was_run_is_incomplete_and_no_forgery(tmp_path, capsys):
    (tmp_path / "small.yaml").write_text(FOUR)
    root = tmp_path / "run"
    assert rbench("run", tmp_path / "small.yaml", "--out", root, "--only", "*/fgsm", "--set", "threat.eps=0.02") == 0
    found = verify(root, capsys, code=0)
    assert faults(found) == ""
    assert any(
        "identity" in note and "incomplete: 1 of 2 planned cells (pgd missing)" in note for note in found["notes"]
    )
    assert any("gaussian-noise" in note and "incomplete: 0 of 1" in note for note in found["notes"])
    assert any("leaderboard.md: 1 of 2 rows are shown" in note for note in found["notes"])
    assert not table(read_runs([root])).frame["verified"].any()


# --- what is stored -----------------------------------------------------------------------------------------------


def test_examples_withheld_by_a_policy_that_the_suite_does_not_have_are_a_fault(root, capsys):
    cheat = Cheat(root, STRONG)
    rows = np.flatnonzero(cheat.samples["robust"] < 0.5)
    cheat.claim(rows, robust=True)
    cheat.forget_examples(slice(None))
    cheat.agree()
    cheat.write()
    cheat.report()
    assert "images: 'fooled' are stored, suite.yaml keeps 'all' (store.images: auto, 28 pixels a side)" in faults(
        verify(root, capsys)
    )


def test_examples_withheld_by_the_suite_as_well_leave_survivors_to_new_attacks(root, capsys):
    for title in (PLAIN, STRONG):
        cheat = Cheat(root, title)
        cheat.claim(np.flatnonzero(cheat.samples["clean"] == 1), robust=True)
        cheat.forget_examples(cheat.samples["robust_predictions"][:, 0] == cheat.samples["label"])
        cheat.agree()
        cheat.write()
    cheat.suite(lambda content: content.update(store={"images": "fooled"}))
    cheat.without("gaussian-noise")
    cheat.report()
    assert "survivors are fooled" in faults(verify(root, capsys, "--survivors", "30"))


def test_pictures_that_are_gone_are_a_fault(root, capsys):
    RunFolder(root).gallery_path(Cheat(root, STRONG).id).unlink()
    Cheat(root, STRONG).report()
    assert "no pictures, and every run keeps those of its first samples" in faults(verify(root, capsys))


def test_pictures_of_other_samples_are_a_fault(root, capsys):
    cheat = Cheat(root, STRONG)
    shown = cheat.folder.read_gallery(cheat.id)
    few = Gallery(shown.samples[1:], shown.labels[1:], shown.pixels[1:], shown.predictions[1:])
    cheat.folder.write_gallery(cheat.id, few)
    cheat.report()
    assert "gallery: not the pictures of the first samples" in faults(verify(root, capsys))


def test_a_folder_that_never_kept_examples_is_not_judged_and_no_forgery(tmp_path, capsys):
    (tmp_path / "small.yaml").write_text(FOUR + "store: {images: none}\n")
    root = tmp_path / "run"
    assert rbench("run", tmp_path / "small.yaml", "--out", root, "--set", "threat.eps=0.02") == 0
    found = verify(root, capsys, code=0)
    assert {cell["unjudged"] for cell in found["cells"]} == {"no examples kept"}
    assert not table(read_runs([root])).frame["verified"].any()
    assert rbench("verify", root) == 0
    assert "not judged: no examples kept (3 cells, unverified)" in capsys.readouterr().out


def test_examples_that_a_record_disowns_against_the_suite_are_a_fault(root, capsys):
    for title in (PLAIN, STRONG, RANDOM):
        cheat = Cheat(root, title)
        cheat.record["images"] = "none"
        cheat.record_path.write_text(json.dumps(cheat.record))
        cheat.folder.images_path(cheat.id).unlink()
    assert "images: 'none' are stored, suite.yaml keeps 'auto'" in faults(verify(root, capsys))


@pytest.mark.parametrize("name", ["zero_gradients", "passed_by", "noise_predictions", "robust_8bit"])
def test_a_column_that_flags_come_from_cannot_be_left_out(root, capsys, name):
    cheat = Cheat(root, STRONG)
    del cheat.samples[name]
    cheat.write(rehash=False)
    found = json.dumps(verify(root, capsys, "--offline"))
    assert f"{name}: 24 of 24 samples have none" in found or f"{name}: has nulls" in found


# --- survivors ----------------------------------------------------------------------------------------------------


def test_clean_images_are_no_survivors_of_useless_attacks(tmp_path, capsys):
    """Nothing in the folder is false: the attacks were useless, and the verifier's own are not."""
    (tmp_path / "small.yaml").write_text(
        FOUR.replace("{name: fgsm, purifiers: [identity]}", "{name: noise, purifiers: [identity]}")
        .replace("steps: 10", "steps: 1, step_size: 0.000001")
        .replace("  - {name: gaussian-noise, sigma: 0.1}\n", "")
        .replace("  - {name: pgd, steps: 8, eot: 3, as: pgd+eot, purifiers: [gaussian-noise]}\n", "")
    )
    root = tmp_path / "run"
    assert rbench("run", tmp_path / "small.yaml", "--out", root) == 0
    verify(root, capsys, code=0)
    found = faults(verify(root, capsys, "--survivors", "30"))
    assert "survivors are fooled with another seed by adaptive (short)" in found


def test_few_survivors_are_said_to_be_too_few(root, capsys):
    cheat = Cheat(root, STRONG)
    cheat.without("gaussian-noise")
    cheat.report()
    found = verify(root, capsys, "--survivors", "3", code=0)
    assert any("3 of " in note and "too few to verify robustness (10 are needed)" in note for note in found["notes"])


# --- other rules, other tables ------------------------------------------------------------------------------------


def test_cells_judged_by_other_rules_are_not_judged_and_keep_their_evidence(root, capsys, monkeypatch):
    verify(root, capsys, code=0)
    kept = sorted((root / "verified").iterdir())
    monkeypatch.setattr(rules, "JUDGE_VERSION", rules.JUDGE_VERSION + 1)
    found = verify(root, capsys, code=0)
    assert all("this rbench judges by version" in cell["unjudged"] for cell in found["cells"])
    assert sorted((root / "verified").iterdir()) == kept
    cheat = Cheat(root, STRONG)
    cheat.record["summary"]["robust_accuracy"]["value"] = 0.9
    cheat.write()
    assert "summary.robust_accuracy" in faults(verify(root, capsys))


@pytest.mark.parametrize("name", ["md", "csv", "html"])
def test_an_edited_table_is_noticed_and_a_new_one_is_not(root, capsys, name):
    verify(root, capsys, code=0)
    path = root / f"leaderboard.{name}"
    assert verify(root, capsys, "--offline", code=0)["leaderboards"] == []
    text = path.read_text()
    path.write_text(text.replace("gaussian-noise", "my-defence"))
    assert f"leaderboard.{name}: not what the records give" in verify(root, capsys, "--offline")["leaderboards"][0]
    capsys.readouterr()
    assert rbench("verify", root, "--offline") == 4
    assert capsys.readouterr().out.splitlines()[-1] == "FAILED: 1 file above."
    assert rbench("report", root, "--to", "md,csv,html,latex") == 0
    assert verify(root, capsys, "--offline", code=0)["leaderboards"] == []


def test_a_page_of_an_earlier_verification_is_told_and_is_no_edit(root, capsys):
    verify(root, capsys, "--survivors", "2", code=0)
    assert rbench("report", root, "--to", "html") == 0
    capsys.readouterr()
    page = root / "leaderboard.html"
    found = verify(root, capsys, "--survivors", "3", code=0)
    assert page.read_text().count(" of 2 survivors of the row") > 0
    assert found["leaderboards"] == []
    (told,) = (note for note in found["notes"] if note.startswith(str(page)))
    assert "tells of another verification" in told
    page.write_text(page.read_text().replace("gaussian-noise", "my-defence"))
    assert "not what the records give; line " in verify(root, capsys, "--offline")["leaderboards"][0]


# --- the audit ----------------------------------------------------------------------------------------------------


def queries_lowered(cheat):
    cheat.samples["queries"] = (cheat.samples["queries"] // 4).astype(np.int32)


def zero_gradients_raised(cheat):
    cheat.samples["zero_gradients"] = cheat.samples["queries"].copy()
    cheat.record["flags"].append({"name": "zero-gradients", "value": 1.0, "detail": ""})


@pytest.mark.parametrize(
    ("forge", "said"), [(queries_lowered, "queries: "), (zero_gradients_raised, "zero_gradients: ")]
)
def test_counters_are_found_by_running_again(root, capsys, forge, said):
    cheat = Cheat(root, STRONG)
    cheat.without("gaussian-noise")
    forge(cheat)
    cheat.write()
    cheat.report()
    verify(root, capsys, code=0)
    assert said in faults(verify(root, capsys, "--audit", "--survivors", "0"))


ONE = without("gaussian-noise", "autoattack").replace("steps: 10", "steps: 1")


def test_at_the_end_few_examples_are_judged_once_more_however_many_there_are(tmp_path, capsys):
    (tmp_path / "one.yaml").write_text(ONE)
    passes = {}
    for count in (ONCE_MORE, 64, 64 + ONCE_MORE):
        root = tmp_path / str(count)
        assert rbench("run", tmp_path / "one.yaml", "--out", root, "--set", f"dataset.samples={count}") == 0
        passes[count] = verify(root, capsys, code=0)["cells"][0]["evidence"]["passes"]
    assert passes[64 + ONCE_MORE] - passes[64] == passes[64] - passes[ONCE_MORE]  # linear beyond them
    assert passes[64 + ONCE_MORE] - passes[64] < passes[ONCE_MORE]  # of which all are judged twice
