"""Rows of the table of faults that were found by trying, of models: 111, 121, 122, 124 to 131, 137 and 138."""

from functools import partial

import pytest
import torch
from odd_models import CLASSES, does, images, judged, net, off_grid, outputs, provisional, ran, suite_of
from small_models import Says, backward
from small_runs import rbench
from torch import nn

from rbench.errors import CellFailed
from rbench.results.flags.catalogue import FLAGS
from rbench.results.record import read_record
from rbench.results.store import RunFolder
from rbench.running.runner import run
from rbench.suite.load import load_suite
from rbench.suite.plan import plan
from rbench.testing.known_answers import RemembersItsInput

GRADIENT_FLAGS = {"zero-gradients", "no-gradient-path", "wrong-gradient", "weak-gradient"}
ORDINARY = {"few-samples"}


def test_111_labels_that_belong_to_other_pictures_are_flagged_with_the_likely_causes():
    _, labels = images()
    found = judged(labels=(labels + 1) % CLASSES, attack="noise")
    assert "near-chance" in found.flag_names
    assert "Labels that belong to other pictures" in FLAGS["near-chance"].cause
    assert "near-chance" not in judged(attack="noise").flag_names


# --- told before the first cell -----------------------------------------------------------------------------------


def test_121_all_backbones_that_do_not_fit_are_told_together_before_the_first_cell(plugins, tmp_path):
    backbones = "linear, {name: linear, as: coloured, channels: 3}, {name: linear, as: binary, classes: 2}"
    found, _, error = ran(plugins, tmp_path, backbones=backbones)
    assert found == {}
    said = str(error)
    assert "\n" not in said
    assert "backbone 'coloured'" in said
    assert "(1, 6, 6)" in said
    assert "in backbone.1, a Linear that takes 108 features" in said
    assert "backbone 'binary'" in said
    assert "sample 2: label 2" in said
    assert "'linear'" not in said


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"spoilt": "(x, x)"}, "returned tuple, not logits"),
        ({"spoilt": "None"}, "returned NoneType"),
        ({"spoilt": "fails(ValueError('broken'))"}, "ValueError: broken"),
        ({"spoilt": "x / 0"}, "logits are NaN or infinite"),
        ({"classes": 1}, "(2, 1), which tells no two classes apart"),
    ],
)
def test_121_a_backbone_that_answers_otherwise_is_told_before_the_first_cell(plugins, tmp_path, given, told):
    more = ", ".join(f'{name}: "{value}"' if name == "spoilt" else f"{name}: {value}" for name, value in given.items())
    found, _, error = ran(plugins, tmp_path, backbones=f"linear, {{name: linear, as: odd, {more}}}")
    assert found == {}
    assert error.component == "backbone 'odd'"
    assert told in str(error)


def test_121_a_purifier_that_fails_is_told_before_the_first_cell_and_fails_alone(plugins, tmp_path):
    small = does("small", "x[..., :3]")
    found, notes, error = ran(plugins, tmp_path, purifiers=f"{small}, identity")
    assert error is None
    assert [
        note for note in notes if "linear/small" in note and "will fail" in note and "returned (2, 1, 6, 3)" in note
    ]
    assert {name: record.status for name, record in found.items()} == {"small": "failed", "identity": "done"}
    assert "purifier 'small'" in found["small"].error


# --- models and attacks that would end the process, or leave something behind -------------------------------------


def test_122_whoever_would_end_the_process_has_a_failed_cell_and_the_exit_code_is_not_0(plugins, tmp_path):
    suite = suite_of(
        plugins,
        tmp_path,
        backbones="{name: linear, as: plain}, {name: linear, as: quits, spoilt: fails(SystemExit(0))}",
        purifiers=f"identity, {does('exits', 'fails(SystemExit(0))')}, {does('gone', 'fails(GeneratorExit())')}",
        attacks="{name: fgsm}, {name: ends}, {name: ends, as: fades, how: generator}",
    )
    assert (
        rbench("run", suite, "--out", tmp_path / "run", "--only", "plain/identity/*,plain/*/fgsm,quits/identity/fgsm")
        == 1
    )
    every = [read_record(path) for path in RunFolder(tmp_path / "run").record_paths()]
    found = {f"{one.backbone.label}/{one.purifier.label}/{one.attack.label}": one for one in every}
    status = {name: one.status for name, one in found.items()}
    assert status.pop("plain/identity/fgsm") == "done"
    assert set(status.values()) == {"failed"}
    assert found["plain/identity/ends"].error == "SystemExit: 0"
    assert found["plain/identity/fades"].error == "GeneratorExit: gone"
    assert "SystemExit: 0" in found["plain/exits/fgsm"].error
    assert "SystemExit: 0" in found["quits/identity/fgsm"].error


LEFT = {
    "hook": ("self.held[0].register_forward_hook(lambda m, i, o: 0 * o) and x", "forward hooks of backbone"),
    "patched": ("setattr(self.held[0], 'forward', lambda x: x.flatten(1)) or x", "backbone.forward"),
    "attribute": ("setattr(self.held[0], 'note', len(x)) or x", "backbone.note"),
}


def test_124_what_is_left_on_the_backbone_fails_the_cell_by_name_and_reaches_no_other_row(plugins, tmp_path):
    lines = {name: f"({line}) if x.requires_grad else x" for name, (line, _) in LEFT.items()}
    purifiers = [does(name, line, "clings") for name, line in lines.items()]
    found, _, _ = ran(plugins, tmp_path, purifiers=", ".join([*purifiers, "identity, bit-depth"]))
    for name, (_, told) in LEFT.items():
        assert found[name].status == "failed"
        assert told in found[name].error
        assert f"purifier '{name}'" in found[name].error
    alone = hash_alone(tmp_path)
    assert found["identity"].result_hash == alone


def hash_alone(folder):
    """The hash of the identity where no other purifier runs."""
    cells = plan(load_suite(folder / "s.yaml"), only="*/identity/*").cells
    (record,) = run(cells, RunFolder.create(folder / "alone"), batch_size=16)
    return record.result_hash


def test_125_the_identity_on_8_bit_images_alone_is_judged_on_images_of_the_ball():
    plain, odd = (
        judged(eps=0.2, steps=10),
        judged(Says(lambda x: torch.where(off_grid(x), 1 - x, x)), eps=0.2, steps=10),
    )
    assert odd.audit["changes"]
    assert not plain.audit["changes"]
    assert odd.robust_accuracy.value <= plain.robust_accuracy.value + 0.25 or provisional(odd)


def test_126_a_purifier_that_remembers_images_is_refused_and_so_never_verified():
    with pytest.raises(CellFailed, match=r"keeps state between calls \(keeps-state\)") as failure:
        judged(RemembersItsInput())
    assert failure.value.component == "purifier 'RemembersItsInput'"


def test_126_a_backbone_that_remembers_is_blamed_itself():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.calls = net(), 0

        def forward(self, x):
            self.__dict__["calls"] += 1
            return self.inner(x) * (1 + self.calls % 7)

    with pytest.raises(CellFailed) as failure:
        judged(None, Counts())
    assert failure.value.component == "the backbone"
    with pytest.raises(CellFailed, match=r"backbone\.calls"):
        judged(Says(lambda x: x * 0.9), Counts())


def counting(after=30):
    calls = []
    return Says(lambda x: calls.append(1) or (1 - x if len(calls) > after else x))


OTHERWISE = {
    "above the audit's batch size": lambda: Says(lambda x: 1 - x if len(x) > 16 else x),
    "after some calls": counting,
    "when autograd is on": lambda: Says(lambda x: 1 - x if torch.is_grad_enabled() else x),
    "in float32": lambda: backward(lambda g, x: g if x.dtype == torch.float64 else -g),
}


@pytest.mark.parametrize("when", OTHERWISE)
def test_127_who_behaves_otherwise_at_times_is_refused_or_flagged(when):
    asked = partial(judged, OTHERWISE[when](), n=24, gradient="exact", batch_size=24)
    if when in ("after some calls", "when autograd is on"):
        with pytest.raises(CellFailed, match=r"keeps-state|answers otherwise"):
            asked()
    else:
        assert {"batch-dependent", "wrong-gradient"} & asked().flag_names


def test_128_gradients_that_are_nan_are_left_and_the_row_is_provisional_without_a_black_box():
    found = judged(backward(lambda g, x: g * torch.nan))
    assert found.gradient == "bpda"
    assert found.audit["non_finite_gradient_share"] == 1
    assert provisional(found)


@pytest.mark.parametrize(
    "function",
    [lambda x: x + 0.1 * torch.randn_like(x), lambda x: nn.functional.dropout(x, 0.2, training=True)],
    ids=["noise", "dropout"],
)
def test_129_honest_draws_from_a_global_generator_raise_no_flag_of_gradients_or_batches(function):
    found = judged(Says(function, stochastic=True), eot=2)
    assert not (GRADIENT_FLAGS | {"batch-dependent", "not-reproducible"}) & found.flag_names


class Autocast(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = net()

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16):
            return self.inner(x)


NARROW = {
    "autocast": Autocast,
    "bfloat16 weights": lambda: net().to(torch.bfloat16),
    "bfloat16 inside": lambda: nn.Sequential(Says(torch.Tensor.bfloat16), net().bfloat16(), Says(torch.Tensor.float)),
}


@pytest.mark.parametrize("name", NARROW)
def test_130_a_backbone_of_sixteen_bits_works_and_is_of_low_precision_at_most(name):
    found = judged(backbone=NARROW[name]())
    assert found.flag_names == ORDINARY | {"low-precision"}
    assert abs(found.standard_accuracy.value - 1) <= 1 / 8


def test_130_a_backbone_of_float64_weights_works():
    assert judged(backbone=net().double()).flag_names == ORDINARY


def test_130_rounding_in_16_bits_is_no_dependence_on_the_batch():
    from rbench.results.flags.of_cell import batch_dependent

    assert batch_dependent(0.01, "bfloat16") == []
    assert batch_dependent(0.01)
    assert batch_dependent(0.03, "bfloat16")


@pytest.mark.parametrize(
    ("last", "named"),
    [(lambda z: (8 * z).sigmoid(), "sigmoids"), (lambda z: 10 * (8 * z).softmax(1), "scaled probabilities")],
    ids=["sigmoid", "scaled softmax"],
)
def test_131_squashed_outputs_are_no_logits(last, named):
    found = judged(backbone=outputs(last), attack="fgsm")
    assert "not-logits" in found.flag_names
    assert found.audit["not_logits"] == named


# --- any number of classes, and a busy machine --------------------------------------------------------------------


def test_137_a_backbone_of_one_logit_is_refused_with_what_to_do():
    with pytest.raises(CellFailed, match="tells no two classes apart") as failure:
        judged(backbone=net(1), labels=torch.zeros(8, dtype=torch.int64))
    assert "torch.cat([-z, z], 1)" in failure.value.remedy


@pytest.mark.parametrize("classes", [2, 3, 1000])
def test_137_two_three_and_a_thousand_classes_work(classes):
    x, _ = images()
    labels = net(classes)(x).argmax(1)
    found = judged(backbone=net(classes), labels=labels, attack="apgd", loss="dlr-targeted", targets=2, steps=2)
    assert found.standard_accuracy.value == 1
    assert found.audit["classes"] == classes
    assert ("margin" in found.audit["loss"]) == (classes < 4)


def test_138_a_run_takes_one_thread_a_worker_so_that_no_thread_waits_for_one_without_a_core(plugins, tmp_path):
    """With a thread for each core, every product waits for the thread whose core another process has."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        line = "x if torch.get_num_threads() == 1 else fails(RuntimeError(str(torch.get_num_threads())))"
        found, _, _ = ran(plugins, tmp_path, purifiers=does("alone", line))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert found["alone"].status == "done", found["alone"].error
