"""What `rbench verify` catches: each forgery by itself, and by a forger who makes all that needs no model agree with it."""

import re
import shutil
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import small_runs
from forger import Forger
from small_runs import faults, rbench

from rbench.results.gallery import SHOWN
from rbench.results.runs import read_runs
from rbench.results.store import RunFolder
from rbench.results.table import table

EPS = 0.02
PLAIN, RANDOM = "identity/pgd", "gaussian-noise/pgd+eot"


def made(folder, *words):
    (folder / "small.yaml").write_text(small_runs.without(*words))
    assert rbench("run", folder / "small.yaml", "--out", folder / "run", "--set", f"threat.eps={EPS}") == 0
    return folder / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made(tmp_path_factory.mktemp("verify"), "autoattack")


@pytest.fixture
def root(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A run of each row alone, which takes half as long to verify."""
    others = {PLAIN: "gaussian-noise", RANDOM: "identity"}
    return {title: made(tmp_path_factory.mktemp("row"), "autoattack", other) for title, other in others.items()}


@pytest.fixture
def plain(tmp_path):
    """The row without noise alone, whose survivors are soon attacked again."""
    return made(tmp_path, "autoattack", "gaussian-noise")


def verify(root, capsys, *options, code=4):
    ended, found, _ = small_runs.verify(root, capsys, *options)
    assert ended == code, found
    return found


def test_an_honest_folder_is_verified_with_the_evidence(root, capsys):
    before = table(read_runs([root]))
    assert not before.frame["verified"].any()
    assert all("unverified" in flags for flags in before.frame["flags"])
    found = verify(root, capsys, "--survivors", "2", code=0)
    assert faults(found) == []
    evidence = {cell["title"]: cell["evidence"] for cell in found["cells"]}
    assert {one["examples"] for one in evidence.values()} == {24}
    assert all(one["passes"] >= 3 * 24 and one["largest_distance"] <= EPS for one in evidence.values())
    assert evidence["bundled:fashion-cnn/identity/pgd"]["reattack"]["attacked"] == 2
    after = table(read_runs([root]))
    assert after.frame["verified"].all()
    assert not any("unverified" in flags for flags in after.frame["flags"])


def accuracy_edited(forger):
    forger.record["summary"]["robust_accuracy"] |= {"value": 0.9, "low": 0.7, "high": 0.97}


def interval_edited(forger):
    forger.record["summary"]["robust_accuracy"]["low"] += 0.05


def eight_bit_accuracy_edited(forger):
    forger.record["summary"]["robust_accuracy_8bit"]["value"] = 1.0


def result_hash_edited(forger):
    forger.record["result_hash"] = "0" * 64


def flag_removed(forger):
    forger.record["flags"] = [flag for flag in forger.record["flags"] if flag["name"] != "few-samples"]


def flag_value_edited(forger):
    forger.record["flags"] = [
        flag | {"value": 99.0} for flag in forger.record["flags"] if flag["name"] == "few-samples"
    ]


def eps_edited(forger):
    forger.record["threat"] |= {"eps": 0.1, "eps_text": "0.1"}


def cell_edited(forger):
    forger.record["cell"]["threat"]["eps"] = "0.1"


def purifier_renamed(forger):
    forger.record["purifier"]["name"] = "cropd"


def parameter_edited(forger):
    forger.record["attack"]["params"]["steps"] = 1000


def draws_edited(forger):
    forger.record["protocol"]["draws"] += 1


def value_of_a_sample_edited(forger):
    forger.samples["robust"][fooled(forger)[:1]] = 1.0


def outcome_of_a_sample_edited(forger):
    forger.samples["outcome"][fooled(forger)[:1]] = "robust"


def distance_edited(forger):
    forger.samples["distance"][0] = 0.06


CONTRADICTIONS = {
    accuracy_edited: r"summary.robust_accuracy: 90.00 %",
    interval_edited: r"summary.robust_accuracy: .* the samples give",
    eight_bit_accuracy_edited: r"summary.robust_accuracy_8bit: 100.00 %",
    result_hash_edited: r"result_hash",
    flag_removed: r"flags: few-samples is not raised",
    flag_value_edited: r"flags: few-samples: value 99, the evidence gives 24",
    eps_edited: r"threat: Linf 0.1, the cell has Linf 0.02",
    cell_edited: r"cell: its content has the id",
    purifier_renamed: r"purifier: name or parameters are not those of the cell",
    parameter_edited: r"attack: name or parameters are not those of the cell",
    draws_edited: r"protocol.draws: 5, the cell asks for 4",
    value_of_a_sample_edited: r"robust: not what its predictions give",
    outcome_of_a_sample_edited: r"outcome: not what `robust` gives",
    distance_edited: r"distance: outside the ball of 0.02",
}
"""Forgeries that the files themselves contradict."""


def fooled(forger):
    return np.flatnonzero(forger.samples["robust"] < 0.5)


def named(cases):
    return [pytest.param(forge, said, id=forge.__name__) for forge, said in cases.items()]


def said_so(said, found):
    return any(re.search(said, fault) for fault in found)


@pytest.mark.parametrize(("forge", "said"), named(CONTRADICTIONS))
def test_what_the_files_contradict_is_found_without_a_model(root, capsys, forge, said):
    forger = Forger(root, RANDOM)
    forge(forger)
    forger.write(rehash=forge is not result_hash_edited)
    found = faults(verify(root, capsys, "--offline"))
    assert said_so(said, found), found


def survivor_claimed(forger):
    forger.claim(fooled(forger)[:1], robust=True)


def everybody_claimed(forger):
    forger.claim(slice(None), robust=True)


def fall_claimed(forger):
    forger.claim(np.flatnonzero(forger.samples["robust"] >= 0.5)[:1], robust=False)


def examples_swapped(forger):
    first, second = fooled(forger)[:2]
    forger.images[[first, second]] = forger.images[[second, first]]


def example_outside_the_ball(forger):
    forger.images[3, 0, 10, 10] = abs(clean(forger)[3, 0, 10, 10] - 2 * EPS)


def example_just_outside_the_ball(forger):
    # By 2e-8, which an attack of others may be off by rounding, and ours may not.
    black = tuple(np.argwhere(clean(forger)[3] == 0)[0])
    forger.images[3][black] = np.float32(EPS * (1 + 1e-6))


def example_with_nan(forger):
    forger.images[3, 0, 0, 0] = np.nan


def example_outside_the_pixel_range(forger):
    forger.images[3, 0, 0, 0] = -1e-3


def examples_that_are_the_clean_images(forger):
    forger.images[:] = clean(forger)


def distance_lowered(forger):
    forger.samples["distance"][3] = 0.001


def clean_accuracy_raised(forger):
    label = forger.samples["label"]
    forger.samples["clean_predictions"][:] = label[:, None]


def noise_accuracy_raised(forger):
    forger.samples["noise_predictions"][:] = forger.samples["label"][:, None]


def labels_changed(forger):
    forger.samples["label"][0] = (forger.samples["label"][0] + 1) % 10


def other_weights(forger):
    forger.record["provenance"]["weights_sha256"] = "0" * 64


def other_data(forger):
    forger.record["dataset"]["sha256"] = "0" * 64


def audit_edited(forger):
    forger.record["audit"]["reaches_input"] = not forger.record["audit"]["reaches_input"]


def gradient_path_edited(forger):
    forger.record["attack"]["gradient"] = "blind"


def zero_gradients_forged(forger):
    forger.record["flags"].append({"name": "zero-gradients", "value": 1.0, "detail": ""})


def declared_deterministic(forger):
    forger.record["purifier"]["stochastic"] = False
    forger.record["protocol"] |= {"draws": 1, "select_draws": 1}
    for name in ("clean", "noise", "select", "robust", "robust_8bit"):
        forger.samples[f"{name}_predictions"] = forger.samples[f"{name}_predictions"][:, :1]
    for name in ("clean_select", "noise_select", "robust_8bit_select"):
        forger.samples[name] = forger.samples[name].round()


BELIED = {
    survivor_claimed: r"sample \d+: (select|robust): judged again, the defended model answers otherwise",
    everybody_claimed: r"and \d+ more: robust: judged again",
    fall_claimed: r"robust: judged again",
    examples_swapped: r"left the ball|judged again|distance",
    example_outside_the_ball: r"sample \d+: the attack left the ball",
    example_just_outside_the_ball: r"sample \d+: the attack left the ball",
    example_with_nan: r"sample \d+: images: NaN",
    example_outside_the_pixel_range: r"sample \d+: images: pixels outside|left \[0, 1\]",
    examples_that_are_the_clean_images: r"distance: .* recorded, measured again",
    distance_lowered: r"sample \d+: distance: .*0.001.* recorded, measured again",
    clean_accuracy_raised: r"clean: judged again",
    noise_accuracy_raised: r"noise: judged again",
    labels_changed: r"labels are not those of the data set",
    other_weights: r"weights: purifier or backbone are not those that were judged",
    other_data: r"dataset: images or labels are not those that were judged",
    audit_edited: r"audit.reaches_input",
    gradient_path_edited: r"attack.gradient: blind, the suite gives exact",
    zero_gradients_forged: r"flags: zero-gradients is raised, the evidence says otherwise",
    declared_deterministic: r"purifier.stochastic: False, measured again True|draws",
}
"""Forgeries that a model belies, though everything else was made to agree."""


def clean(forger):
    from rbench.registry import load

    dataset = load("dataset", "fashion-mnist-mini")
    return np.asarray(dataset.read(forger.ids), np.float32)


def each_behind_one():
    """Each forgery of one of the two cells in `make test`, in turn, and of the other one in the soak."""
    for place, (forge, said) in enumerate(BELIED.items()):
        titles = [RANDOM] if forge is declared_deterministic else [PLAIN, RANDOM]  # the other one is deterministic
        for title in titles:
            marks = [] if title == titles[place % len(titles)] else [pytest.mark.soak]
            yield pytest.param(forge, said, title, marks=marks, id=f"{forge.__name__}-{title}")


@pytest.mark.parametrize(("forge", "said", "title"), list(each_behind_one()))
def test_a_thorough_forger_is_belied_by_the_model(rows, tmp_path, capsys, forge, said, title):
    root = shutil.copytree(rows[title], tmp_path / "run")
    forger = Forger(root, title)
    forge(forger)
    forger.agree()
    forger.write()
    found = faults(verify(root, capsys, "--survivors", "0"))
    assert said_so(said, found), found
    assert not RunFolder(root).is_verified(forger.id)


@pytest.mark.parametrize("kind", range(4))
def test_a_picture_that_was_retouched_is_found(rows, tmp_path, capsys, kind):
    root = shutil.copytree(rows[RANDOM], tmp_path / "run")
    folder, forger = RunFolder(root), Forger(root, RANDOM)
    shown = folder.read_gallery(forger.id)
    pixels = shown.pixels.copy()
    pixels[2, kind, 0, 5:15, 5:15] ^= 0x3F
    folder.write_gallery(forger.id, replace(shown, pixels=pixels))
    found = faults(verify(root, capsys, "--survivors", "0"))
    assert said_so(f"gallery: sample {shown.samples[2]}: the {SHOWN[kind]} picture", found)


def test_examples_made_by_other_weights_are_refused(tmp_path, capsys):
    weights = shutil.copy(str(files("rbench") / "assets/fashion-dae.safetensors"), tmp_path / "mine.safetensors")
    (tmp_path / "small.yaml").write_text(f"""\
suite: small
dataset: {{name: fashion-mnist-mini, samples: 8}}
threat: {{norm: Linf, eps: 0.05}}
backbones: [bundled:fashion-cnn]
purifiers: [{{name: denoising-autoencoder, weights: "{weights}"}}]
attacks: [{{name: fgsm}}]
""")
    root = tmp_path / "run"
    assert rbench("run", tmp_path / "small.yaml", "--out", root) == 0
    verify(root, capsys, "--survivors", "0", code=0)
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    found = faults(verify(root, capsys))
    assert said_so(r"purifier: mine.safetensors is not the file that was judged \(sha256\)", found)


def lazy(root):
    """An attack that gives back the clean images, told as if it had been the one of the suite: no model belies it."""
    forger = Forger(root, PLAIN)
    forger.images[:] = clean(forger)
    forger.samples["distance"][:] = 0
    for name in ("robust_predictions", "select_predictions", "robust_8bit_predictions"):
        forger.samples[name] = forger.samples["clean_predictions"].copy()
    forger.samples["robust_8bit_select"] = forger.samples["clean_select"].copy()
    forger.agree()
    forger.write()
    shown = forger.folder.read_gallery(forger.id)
    unchanged = shown.pixels[:, [0, 0, 2, 2]]
    forger.folder.write_gallery(forger.id, replace(shown, pixels=unchanged, predictions=shown.predictions[:, [0, 0]]))
    forger.report()


def test_an_attack_that_was_lazy_is_found_by_attacking_survivors_again(plain, capsys):
    lazy(plain)
    verify(plain, capsys, "--survivors", "0", code=0)
    found = faults(verify(plain, capsys, "--survivors", "8"))
    assert said_so(
        r"robust accuracy: \d of 8 survivors are fooled with another seed by adaptive \(short\) and pgd", found
    )


def test_an_audit_runs_every_cell_again_with_another_seed_order_and_batch_size(root, capsys):
    found = verify(root, capsys, "--audit", "--survivors", "0", code=0)
    again = {cell["title"].split("/")[1]: cell["evidence"]["rerun"] for cell in found["cells"]}
    assert {one["batch_size"] for one in again.values()} == {33}
    assert all(one["seed"] == 1 and one["low"] <= one["difference"] <= one["high"] for one in again.values())
    assert abs(again["identity"]["difference"]) <= 1 / 24
    lazy(root)
    found = faults(verify(root, capsys, "--audit", "--survivors", "0"))
    assert said_so("with another seed, order and batch size", found)


@pytest.mark.parametrize("kind", ["images", "samples", "records"])
@pytest.mark.parametrize("kept", [0, 0.5, 0.99])
def test_a_truncated_file_is_named(root, capsys, kind, kept):
    path = next((root / kind).iterdir())
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert rbench("verify", root, "--survivors", "0") == 4
    printed = capsys.readouterr()
    assert path.name in (printed.out + printed.err).replace("\n", "")
    assert "Traceback" not in printed.err


def test_no_examples_nothing_verified(root, capsys):
    shutil.rmtree(root / "images")
    found = faults(verify(root, capsys))
    assert said_so("images: .*no such file", found)
    assert not table(read_runs([root])).frame["verified"].any()


def test_what_is_edited_after_it_was_verified_is_verified_no_more(root, capsys):
    verify(root, capsys, "--survivors", "0", code=0)
    forger = Forger(root, PLAIN)
    survivor_claimed(forger)
    forger.agree()
    forger.write()
    frame = table(read_runs([root])).frame.set_index("purifier")
    assert frame["verified"].to_dict() == {"identity": False, "gaussian-noise": True}
    verify(root, capsys, "--survivors", "0")
    assert not (root / "verified" / f"{forger.id}.json").exists()


def test_verification_without_a_model_verifies_nothing(root, capsys):
    assert faults(verify(root, capsys, "--offline", code=0)) == []
    assert not (root / "verified").exists()
