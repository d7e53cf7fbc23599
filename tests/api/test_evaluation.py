"""`rbench.evaluate`: what it takes, and the row that comes back."""

import json
import sys
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from parts import refused, some
from torch import nn

import rbench
from rbench.api.shown import bar
from rbench.datasets.types import Dataset
from rbench.errors import CellFailed, InputError


def net(channels=1, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layer = nn.Linear(16 * channels, 3)
    with torch.no_grad():
        layer.bias.copy_(-layer.weight.sum(1) / 2)  # at grey no class is likelier than another
    return nn.Sequential(nn.Flatten(), layer)


def problem(n=8, channels=1):
    x = torch.rand(n, channels, 4, 4, generator=torch.Generator().manual_seed(1))
    model = net(channels)
    return model, x, model(x).argmax(1)


def judged(*given, **asked):
    return rbench.evaluate(
        *(given or problem()), **{"attack": "fgsm", "eps": 0.1, "draws": 4, "select_draws": 4, **asked}
    )


@pytest.fixture(scope="module")
def two():
    """Under a weak attack and a strong one."""
    return judged(attack="pgd", attacks=["noise", {"name": "pgd", "steps": 5, "as": "strong"}])


# --- what it takes ------------------------------------------------------------------------------------------------


def pairs(x, y):
    return torch.utils.data.TensorDataset(x, y)


SOURCES = {
    "a loader": lambda x, y: torch.utils.data.DataLoader(pairs(x, y), batch_size=3),
    "a data set of torch": pairs,
    "a data set of rbench": lambda x, y: Dataset(y.numpy(), lambda ids: x.numpy()[ids]),
}


@pytest.mark.parametrize("name", SOURCES)
def test_images_come_with_their_labels_from_loaders_and_data_sets(name):
    model, x, y = problem()
    plain = judged(model, x[:4], y[:4])
    assert judged(model, SOURCES[name](x, y), samples=4).result_hash == plain.result_hash


def test_a_loader_is_read_no_further_than_is_asked():
    class Long(torch.utils.data.IterableDataset):
        def __iter__(self):
            x, y = problem()[1:]
            yield from zip(x, y, strict=True)
            raise AssertionError("too far")

    assert len(judged(net(), torch.utils.data.DataLoader(Long(), batch_size=2), samples=4).robust) == 4


def test_a_name_is_a_data_set_a_backbone_and_a_purifier_with_parameters():
    rbench.register("backbone", "a-small-net", net)
    found = judged(
        {"name": "a-small-net", "seed": 3}, *problem()[1:], purifier={"name": "bit-depth", "bits": 2, "as": "two bits"}
    )
    assert found.row["purifier"] == "two bits"
    assert found.attacks["fgsm"].record.purifier.params["bits"] == 2
    with refused(place="purifier.bit", remedy=some("'bits'")):
        judged(purifier={"name": "bit-depth", "bit": 2})
    with refused(place="purifier.bits"):
        judged(purifier={"name": "bit-depth", "bits": 99})
    with refused(place="images", remedy=some("fashion-mnist-mini")):
        rbench.evaluate(net(), "fashion-mnist")


def test_functions_are_models_and_what_they_hold_is_left_as_it_was():
    model, x, y = problem()
    held = nn.Sequential(model, nn.BatchNorm1d(3)).train()
    before = {name: value.clone() for name, value in held.state_dict().items()}
    plain = judged(held, x, y)
    for function in (lambda images: held(images), partial(held.forward)):
        found = judged(function, x, y, purifier=lambda images: images)
        assert found.attacks["fgsm"].samples["robust"].tolist() == plain.attacks["fgsm"].samples["robust"].tolist()
        assert held.training
        assert all(p.requires_grad for p in held.parameters())
        assert all(torch.equal(value, before[name]) for name, value in held.state_dict().items())


def test_a_function_may_draw_noise_and_is_random_then():
    found = judged(purifier=lambda x, noise: (x + 0.1 * noise.normal(*x.shape[1:])).clamp(0, 1))
    assert found.row["stochastic"]
    assert "randomised" in found.flag_names


@pytest.mark.parametrize(
    ("given", "wanted", "remedy"),
    [(1, 3, some("expand(-1, 3, -1, -1)")), (3, 1, some("mean(1, keepdim=True)")), (4, 3, some("images[:, :3]"))],
)
def test_a_wrong_number_of_channels_is_told_with_the_cure(given, wanted, remedy):
    model = nn.Sequential(nn.Conv2d(wanted, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    with refused(InputError, place="images", found=f"{given} channels", remedy=remedy):
        judged(model, torch.rand(2, given, 4, 4), torch.zeros(2, dtype=torch.int64))


def test_another_error_of_a_model_keeps_its_traceback_and_says_where():
    model = nn.Sequential(nn.Flatten(), nn.Linear(5, 3))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as told:
        judged(model, *problem()[1:])
    assert "backbone.1, a Linear that takes 5 features" in told.value.__notes__[0]


# --- one attack or several ----------------------------------------------------------------------------------------


def test_several_attacks_make_one_row_in_the_worst_case(two):
    assert list(two.attacks) == ["noise", "strong"]
    weak, strong = (one.samples["robust"].to_numpy() for one in two.attacks.values())
    assert (two.robust <= np.minimum(weak, strong)).all()
    assert two.robust_accuracy.value == two.robust.mean() <= two.attacks["strong"].robust_accuracy.value < 1
    assert two.row["strongest_attack"] == "strong"
    assert two.gradient == "exact"
    assert len(two.samples) == 16
    assert two.samples["attack"].unique().tolist() == ["noise", "strong"]


def test_the_image_of_a_sample_is_that_of_the_attack_that_fools_it(two):
    fooled = two.attacks["strong"].samples["robust"].to_numpy() == 0
    assert fooled.any()
    assert torch.equal(two.adversarial[fooled], two.attacks["strong"].adversarial[fooled])


def test_an_attack_among_several_does_what_it_does_alone(two):
    alone = judged(attack="pgd", steps=5)
    assert alone.result_hash == two.attacks["strong"].record.result_hash
    assert torch.equal(alone.adversarial, two.attacks["strong"].adversarial)


def test_one_attack_is_a_row_too_whose_rounding_and_noise_count():
    found = judged(attack="noise")
    samples = found.attacks["noise"].samples
    assert (found.robust <= samples[["robust", "robust_8bit", "clean", "noise"]].min(axis=1)).all()


def test_keywords_are_for_attacks_that_do_not_say_it_themselves():
    found = judged(
        attack="pgd", purifier="bit-depth", gradient="bpda", attacks=["fgsm", {"name": "fgsm", "gradient": "blind"}]
    )
    assert {name: one.record.attack.gradient for name, one in found.attacks.items()} == {
        "fgsm": "bpda",
        "fgsm-blind": "blind",
    }
    assert found.row["blind_robust_accuracy"] is not None


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ({"attacks": []}, "attacks"),
        ({"attacks": "pgd"}, "attacks"),
        ({"attacks": ["pgd", "pgdd"]}, "attacks[1].name"),
        ({"attacks": ["pgd", {"name": "pgd", "stepz": 3}]}, "attacks[1].stepz"),
        ({"attacks": [{"name": "pgd", "eot": 0}]}, "attacks[0].eot"),
        ({"attacks": [{"name": "pgd", "steps": 0}]}, "attacks[0].steps"),
        ({"attacks": [{"name": "latent", "gradient": "bpda"}]}, "attacks[0].gradient"),
        ({"attacks": ["pgd", 3]}, "attacks[1]"),
        ({"attacks": ["pgd", "pgd"]}, "attacks[1].name"),
        ({"attacks": ["pgd"], "steps": 3}, "steps"),
        ({"attacks": ["pgd"], "attack": "fgsm"}, "attacks"),
        ({"attacks": ["pgd"], "stand_in": "identity"}, "stand_in"),
        ({"attacks": [{"name": "pgd", "purifiers": ["jpeg"]}]}, "attacks[0].purifiers"),
        ({"threat": {"norm": "L2"}}, "threat"),
        ({"threat": "L2"}, "threat"),
        ({"threat": {"norm": "L2", "eps": 1}, "eps": 2}, "threat"),
        ({"threat": {"norm": "L2", "eps": -1}}, "eps"),
        ({"samples": 0}, "samples"),
        ({"samples": 9}, "samples"),
    ],
)
def test_what_is_wrong_is_told_in_its_place(asked, place):
    with refused(InputError, place=place) as told:
        rbench.evaluate(*problem(), **asked)
    assert "\n" not in str(told.value)


def test_a_threat_is_that_of_a_suite():
    model, x, y = problem()
    both = [
        rbench.evaluate(model, x, y, attack="fgsm", **asked)
        for asked in ({"threat": {"norm": "L2", "eps": "1/2"}}, {"norm": "L2", "eps": 0.5})
    ]
    assert both[0].result_hash == both[1].result_hash
    assert both[0].row["eps_text"] == "1/2"


# --- what comes back ----------------------------------------------------------------------------------------------


def test_the_row_is_that_of_a_run_of_the_same_suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = torch.randint(0, 256, (6, 1, 4, 4), generator=torch.Generator().manual_seed(2)).to(torch.uint8)
    model = net()
    y = model(x / 255).argmax(1)
    np.savez("x.npz", x=x.numpy(), y=y.numpy())
    rbench.register("backbone", "a-net", net)
    (tmp_path / "s.yaml").write_text(
        "suite: same\ndataset: {name: npz, path: x.npz}\nthreat: {norm: Linf, eps: 0.1}\nbackbones: [a-net]\n"
        "purifiers: [bit-depth]\nattacks: [noise, {name: pgd, steps: 3}]\nprotocol: {draws: 4, select_draws: 4}\n"
    )
    run = rbench.run("s.yaml", only="bit-depth").rows()[0]
    row = judged("a-net", x, y, purifier="bit-depth", attack="pgd", attacks=["noise", {"name": "pgd", "steps": 3}]).row
    apart = {"dataset", "flags", "cost_seconds", "group", "rank"}
    assert {k: v for k, v in row.items() if k not in apart} == {k: run[k] for k in row if k not in apart}
    assert set(row["flags"]) == set(run["flags"]) - {"unverified"}


def test_it_shows_itself_in_one_line_in_a_notebook_and_as_json(two):
    assert repr(two).startswith("Evaluation(identity on Sequential, Linf 0.1, 8 images: standard 100.0 %, robust ")
    assert "\n" not in repr(two)
    page = two._repr_html_()
    assert page.count("<tr>") == 2
    assert "few-samples" in page
    document = json.loads(two.to_json())
    assert document["row"]["robust_accuracy"] == two.robust_accuracy.value
    assert [record["attack"]["label"] for record in document["records"]] == ["noise", "strong"]


def test_what_strangers_call_things_does_nothing_on_the_page():
    named = judged(attack="noise", label="<script>alert(1)</script>")
    assert "<script" not in named._repr_html_() + rbench.table(named)._repr_html_()


@pytest.fixture(scope="module")
def negative():
    """The same images, seen in negative."""
    return judged(purifier=lambda images: 1 - images, label="negative")


def test_frames_of_evaluations_go_together(two, negative):
    assert pd.concat([two.frame, negative.frame])["purifier"].tolist() == ["identity", "negative"]


def test_the_figure_has_a_line_for_each_accuracy(two):
    (axis,) = two.figure().axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == ["no attack", "uniform noise", "noise", "strong", "worst case"]


def test_it_is_compared_with_another_sample_by_sample(two, negative):
    found = two.compare(negative)
    assert found.difference.value == pytest.approx(two.robust.mean() - negative.robust.mean())
    assert found.both + found.only_first + found.only_second + found.neither == 8


@pytest.mark.parametrize(
    ("changed", "place"), [({"eps": 0.2}, "threat"), ({"seed": 1}, "protocol"), ({"samples": 4}, "samples")]
)
def test_what_was_judged_otherwise_is_not_compared(two, changed, place):
    with refused(InputError, place=place):
        two.compare(judged(attack="noise", **changed))


def test_evaluations_of_one_model_make_one_row_of_a_table_and_of_two_models_two(two, negative):
    model = two.setting.backbone.module
    assert len(rbench.table(two, negative).rows()) == 2
    assert len(rbench.table(two, judged(model, *problem()[1:])).rows()) == 1
    with refused(place="table"):
        rbench.table()


def test_a_table_shows_itself_in_a_notebook(two):
    table = rbench.table(two)
    assert repr(table) == "Table(1 row)"
    assert "<td>identity</td>" in table._repr_html_()


class Counts(nn.Module):
    """Answers otherwise once it is told to."""

    turned = False

    def forward(self, x):
        return 1 - x if self.turned else x


def test_images_are_judged_again(two):
    found = two.verify()
    assert (found.ok, found.examples, found.faults) == (True, 16, ())
    assert 0 < found.largest_distance <= 0.1 + 1e-6


def test_a_model_that_answers_otherwise_by_now_is_told():
    model, x, y = problem()
    purifier = Counts()
    found = judged(model, x, y, purifier=purifier)
    assert found.verify().ok
    purifier.turned = True
    again = found.verify()
    assert not again.ok
    assert any("answers otherwise" in fault for fault in again.faults)
    purifier.turned = False
    with torch.no_grad():
        model[1].weight.mul_(-1)
    assert any("weights" in fault for fault in found.verify().faults)


# --- adversarial examples alone -----------------------------------------------------------------------------------


def test_an_attack_gives_an_image_for_every_image_in_its_ball():
    model, x, y = problem()
    moved = rbench.attack(model, x, y, attack="pgd", steps=3, eps=0.1)
    assert moved.shape == x.shape
    assert (moved - x).abs().max() <= 0.1 + 1e-6
    assert (model(moved).argmax(1) != y).any()


@pytest.mark.filterwarnings("ignore:.*repeat")
def test_an_image_that_is_there_twice_gets_its_example_twice():
    model, x, y = problem()
    moved = rbench.attack(model, x[[0, 1, 0]], y[[0, 1, 0]], attack="fgsm", eps=0.1)
    assert len(moved) == 3
    assert torch.equal(moved[0], moved[2])


@pytest.mark.parametrize(("kernel", "line"), [(None, False), (object(), True)])
def test_a_line_of_a_notebook_is_drawn_only_where_a_kernel_runs(monkeypatch, kernel, line):
    """Whoever imports IPython, as a test runner may, is in no notebook."""
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=kernel)))
    drawn = []
    monkeypatch.setattr("rbench.api.shown._line", lambda: drawn.append(1) or nullcontext())
    monkeypatch.setattr("rbench.api.shown._bar", nullcontext)
    with bar(wanted=True):
        pass
    assert bool(drawn) == line


def test_attacks_of_autoattack_are_its_own_parameter():
    found = rbench.evaluate(
        "bundled:fashion-cnn",
        "fashion-mnist-mini",
        samples=2,
        attack="autoattack",
        version="custom",
        attacks=["apgd-ce"],
        eps=0.1,
    )
    assert list(found.attacks) == ["autoattack"]


def test_samples_of_a_data_set_by_name_are_those_of_a_suite(tmp_path):
    (tmp_path / "few.yaml").write_text(
        "suite: few\ndataset: {name: fashion-mnist-mini, samples: 5}\nthreat: {norm: Linf, eps: 0.05}\n"
        "backbones: ['bundled:fashion-cnn']\npurifiers: [jpeg]\nattacks: [fgsm]\n"
    )
    rbench.run(tmp_path / "few.yaml", out=tmp_path / "run", progress=False)
    found = rbench.evaluate(
        "bundled:fashion-cnn", "fashion-mnist-mini", purifier="jpeg", attack="fgsm", eps=0.05, samples=5
    )
    assert set(found.samples["sample"]) == set(rbench.read(tmp_path / "run").samples["sample"])
    assert max(found.samples["sample"]) >= 5, "not the first"
    first = rbench.evaluate(
        "bundled:fashion-cnn", rbench.load("dataset", "fashion-mnist-mini"), attack="fgsm", eps=0.05, samples=5
    )
    assert list(first.samples["sample"]) == [0, 1, 2, 3, 4]


def test_what_returns_images_of_another_size_is_told_by_its_name():
    with pytest.raises(CellFailed, match=r"purifier 'AvgPool2d' returned"):
        judged(purifier=nn.AvgPool2d(2))


def test_a_data_set_may_have_parameters_as_in_a_suite(tmp_path):
    x = torch.rand(6, 1, 4, 4).numpy()
    np.savez(tmp_path / "few.npz", images=x, labels=np.arange(6) % 3)
    found = judged(net(), {"name": "npz", "path": str(tmp_path / "few.npz")}, None, samples=4)
    assert len(found.robust) == 4
    assert str(tmp_path) not in found.to_json()
    with pytest.raises(InputError, match=r"^images: .*layuot: no such parameter of .npz.\. Did you mean 'layout'"):
        judged(net(), {"name": "npz", "path": str(tmp_path / "few.npz"), "layuot": "nchw"}, None)
    with refused(place="images", found=some("dict"), remedy=some("or its name")):
        judged(net(), {"path": "few.npz"}, None)
