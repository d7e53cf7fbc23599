"""Table I, results: records that were made to agree with each other are belied by the suite, the models and new attacks."""

from dataclasses import replace

import numpy as np
import pytest
from forger import Cheat
from small_runs import faults, rbench, verify

from rbench.registry import load

SUITE = """\
suite: tiny
dataset: {name: fashion-mnist-mini, samples: 6}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
purifiers: [identity]
attacks: [noise, {name: pgd, steps: 3}]
"""
WEAK, STRONG = "identity/noise", "identity/pgd"


def said(root, capsys, *options):
    code, found, _ = verify(root, capsys, *options)
    assert code == 4, found
    return "\n".join(faults(found))


def strongest_deleted(cheat):
    cheat.drop()


def eps_text_edited(cheat):
    cheat.record["threat"]["eps_text"] = "8/255"
    cheat.write()


def eps_edited(cheat):
    cheat.record["threat"] |= {"eps": 8 / 255, "eps_text": "8/255"}
    cheat.write()


def purifier_renamed(cheat):
    cheat.rename("purifier", "mine")


def attack_renamed(cheat):
    cheat.rename("attack", "autoattack")


def flag_removed(cheat):
    cheat.record["flags"] = [flag for flag in cheat.record["flags"] if flag["name"] != "few-samples"]
    cheat.write()


BY_FILES = {
    strongest_deleted: "row: 1 of 2 planned cells; suite.yaml plans pgd",
    eps_text_edited: "threat.eps_text: '8/255' is what tables print, the cell has 0.05",
    eps_edited: "the cell has Linf 0.05",
    purifier_renamed: "purifier: shown as 'mine', suite.yaml calls it 'identity'",
    attack_renamed: "attack: shown as 'autoattack', suite.yaml calls it 'pgd'",
    flag_removed: "flags: few-samples is not raised",
}


@pytest.mark.parametrize("forge", BY_FILES, ids=lambda forge: forge.__name__)
def test_132_what_the_suite_or_the_files_belie_is_named(root, capsys, forge):
    cheat = Cheat(root, STRONG)
    forge(cheat)
    cheat.report()
    assert BY_FILES[forge] in said(root, capsys, "--offline")


def test_132_examples_withheld_and_flags_of_the_model_removed_are_named(root, capsys):
    withheld, quiet = Cheat(root, WEAK), Cheat(root, STRONG)
    rows = np.flatnonzero(withheld.samples["robust"] < 0.5)
    assert len(rows)
    withheld.claim(rows, robust=True)
    withheld.forget_examples(slice(None))
    assert "unstable" in {flag["name"] for flag in quiet.record["flags"]}
    quiet.record["flags"] = [flag for flag in quiet.record["flags"] if flag["name"] != "unstable"]
    for cheat in (withheld, quiet):
        cheat.agree()
        cheat.write()
    quiet.report()
    found = said(root, capsys, "--survivors", "0")
    assert "images: 'fooled' are stored, suite.yaml keeps 'all'" in found
    assert "flags: unstable is not raised" in found


def test_132_clean_images_as_survivors_fall_to_a_new_attack(tmp_path, capsys):
    """Files and models agree that the stored images, clean ones, are answered rightly: only an attack shows that others are not."""
    (tmp_path / "tiny.yaml").write_text(SUITE.replace("noise, ", "").replace("samples: 6", "samples: 16"))
    root, data = tmp_path / "run", load("dataset", "fashion-mnist-mini")
    assert rbench("run", tmp_path / "tiny.yaml", "--out", root) == 0
    cheat = Cheat(root, STRONG)
    cheat.images[:] = data.read(cheat.ids)
    cheat.samples["distance"][:] = 0
    for name in ("robust_predictions", "select_predictions", "robust_8bit_predictions"):
        cheat.samples[name] = cheat.samples["clean_predictions"].copy()
    cheat.samples["robust_8bit_select"] = cheat.samples["clean_select"].copy()
    cheat.record["audit"]["kept_promise"] = 0.9  # what the clean images show of it
    cheat.agree()
    cheat.write()
    shown = cheat.folder.read_gallery(cheat.id)
    unchanged = {"pixels": shown.pixels[:, [0, 0, 2, 2]], "predictions": shown.predictions[:, [0, 0]]}
    cheat.folder.write_gallery(cheat.id, replace(shown, **unchanged))
    cheat.report()
    assert "survivors are fooled with another seed" in said(root, capsys, "--survivors", "16")
