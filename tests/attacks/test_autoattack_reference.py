"""AutoAttack through rbench against the same package called by hand."""

import random
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from pyautoattack import AutoAttack
from torch import nn

import rbench
from rbench.attacks.autoattack import autoattack
from rbench.errors import InputError
from rbench.registry import load


@pytest.fixture(scope="module")
def bundled():
    """The bundled classifier with 24 images of all classes that it gets right."""
    dataset, model = load("dataset", "fashion-mnist-mini"), load("backbone", "bundled:fashion-cnn")
    x = torch.from_numpy(dataset.read(np.arange(0, 1000, 25)))
    y = torch.from_numpy(dataset.labels[::25])
    with torch.no_grad():
        right = torch.nonzero(model(x).argmax(1) == y)[:24, 0]
    return model, x[right], y[right]


def by_hand(model, x, y, *, norm, eps, seed, batch_size, version, attacks=None):
    """What the package proposes, batch after batch, and which samples it thinks robust."""
    found, flags = [], []
    with torch.random.fork_rng():
        for start in range(0, len(x), batch_size):
            part = slice(start, start + batch_size)
            adversary = AutoAttack(model, norm=norm, eps=eps, seed=seed, version=version, attacks=attacks)
            points, predicted = adversary.run_standard_evaluation(x[part], y[part], batch_size=batch_size)
            found.append(points)
            flags.append(predicted == y[part])
    return torch.cat(found), torch.cat(flags)


@pytest.fixture(autouse=True)
def numpy_state():
    """The package called by hand reseeds NumPy's global generator."""
    state = np.random.get_state()  # noqa: NPY002
    yield
    np.random.set_state(state)  # noqa: NPY002


def small(classes, *, pixels=16):
    with torch.random.fork_rng():
        torch.manual_seed(classes)
        return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 8), nn.Tanh(), nn.Linear(8, classes))


class ShownTwice(nn.Module):
    """The bare model, but for the one thing that rbench does to it: a single image is shown twice (docs/judging.md section 2)."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(torch.cat([x, x]))[:1] if len(x) == 1 else self.model(x)


def compare(model, x, y, *, norm, eps, batch_size, version, members=None):
    """Bit by bit and sample by sample; returns the share that survives."""
    attack = autoattack(engine="reference", version=version, attacks=members, batch_size=batch_size)
    found = rbench.evaluate(model, x, y, attack=attack, norm=norm, eps=eps, gradient="exact", seed=3)
    points, robust = by_hand(
        ShownTwice(model), x, y, norm=norm, eps=eps, seed=3, batch_size=batch_size, version=version, attacks=members
    )
    assert torch.equal(found.adversarial, points)
    assert found.samples["robust"].tolist() == robust.float().tolist()
    return float(robust.float().mean())


@pytest.mark.parametrize(
    ("norm", "eps", "members", "batch_size"),
    [("Linf", 5 / 255, ["apgd-ce"], 24), pytest.param("L2", 0.35, ["apgd-dlr"], 12, marks=pytest.mark.soak)],
)
def test_every_bundled_image_gets_what_the_package_gives_it_on_the_bare_classifier(
    bundled, norm, eps, members, batch_size
):
    survive = compare(*bundled, norm=norm, eps=eps, members=members, batch_size=batch_size, version="custom")
    assert 0 < survive < 1, "some survive and some do not"


@pytest.mark.parametrize(
    ("version", "norm", "eps", "members"),
    [("standard", "Linf", 0.05, None), ("custom", "L1", 0.6, ["apgd-ce"]), ("custom", "L2", 0.2, ["fab-t"])],
)
def test_every_sample_gets_what_the_package_gives_it_in_every_norm_and_in_the_standard_version(
    version, norm, eps, members
):
    model = small(10, pixels=36)
    x = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    y = model(x).argmax(1)
    survive = compare(model, x, y, norm=norm, eps=eps, batch_size=4, version=version, members=members)
    assert 0 < survive < 1, "some survive and some do not"


def test_what_the_package_rounds_out_of_a_large_ball_is_a_verdict_and_no_broken_rule(bundled):
    attack = autoattack(engine="reference", version="custom", attacks=["apgd-ce"])
    found = rbench.evaluate(*bundled, attack=attack, norm="L1", eps=8.0, gradient="exact")
    assert found.samples["distance"].max() > 8.0 + 1.2e-7, "nothing was rounded outward"


def test_the_batch_size_is_that_of_the_component_not_that_of_the_run():
    model, x = small(3), torch.rand(14, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    sizes, attack = [], autoattack(engine="reference", version="custom", attacks=["apgd-ce"], batch_size=6)

    def watched(module, batch, *rest):
        sizes.append(len(batch))
        return attack.perturb(module, batch, *rest)

    found = [
        rbench.evaluate(model, x, model(x).argmax(1), attack=a, eps=0.05, batch_size=5)
        for a in (replace(attack, perturb=watched), attack)
    ]
    assert sizes == [6, 6, 2]
    assert torch.equal(found[0].adversarial, found[1].adversarial)


@pytest.mark.parametrize(
    ("version", "classes"),
    [("standard", 2), ("standard", 3), ("standard", 4), ("standard", 9), ("plus", 2), ("plus", 3)],
)
def test_few_classes_are_attacked_in_full_and_the_record_says_what_was_changed(classes, version):
    model = small(classes)
    x = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    y = model(x).argmax(1)
    attack = autoattack(engine="reference", version=version)
    found = rbench.evaluate(model, x, y, attack=attack, eps=0.3)
    assert found.robust_accuracy.value == 0
    assert found.audit["targets"].startswith(f"{classes - 1} targets")
    assert ("loss" in found.audit) is (classes < 4)
    if classes == 2:
        assert found.audit["loss"] == "margin instead of dlr and targeted dlr (2 classes)"
    if classes == 3:
        assert found.audit["loss"] == "margin instead of targeted dlr (3 classes)"


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("member", ["apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square"])
def test_every_member_alone_finds_the_weak_samples_of_few_classes(member, classes):
    model = small(classes)
    x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    y = model(x).argmax(1)
    found = rbench.evaluate(
        model, x, y, attack=autoattack(engine="reference", version="custom", attacks=[member]), eps=0.35
    )
    assert found.robust_accuracy.value == 0


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("member", ["apgd-t", "fab-t"])
def test_a_survivor_of_few_classes_meets_as_many_targets_as_there_are_and_not_one_more(member, classes):
    model = small(classes)
    x = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    attack = autoattack(engine="reference", version="custom", attacks=[member])
    assert rbench.evaluate(model, x, model(x).argmax(1), attack=attack, eps=1e-5).robust_accuracy.value == 1


def test_ten_classes_are_the_reference_and_leave_no_note(bundled):
    model, x, y = bundled
    attack = autoattack(engine="reference", version="custom", attacks=["apgd-ce"])
    found = rbench.evaluate(model, x[:2], y[:2], attack=attack, eps="64/255")
    assert not {"targets", "loss"} & set(found.audit)


def states():
    numpy_part = np.random.get_state()[1].tobytes()  # noqa: NPY002
    return torch.get_rng_state().numpy().tobytes(), numpy_part, random.getstate()


def test_global_generators_and_the_trace_function_are_as_before():
    def trace(frame, event, arg):
        return None

    model, x = small(3), torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    y, before, old = model(x).argmax(1), states(), sys.gettrace()
    try:
        sys.settrace(trace)
        rbench.evaluate(
            model, x, y, attack=autoattack(engine="reference", version="custom", attacks=["apgd-ce"]), eps=0.4
        )
        kept = sys.gettrace()
    finally:
        sys.settrace(old)
    assert kept is trace
    assert states() == before


def test_nothing_is_printed_or_logged(capfd, caplog):
    model, x = small(3), torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    rbench.evaluate(
        model,
        x,
        model(x).argmax(1),
        attack=autoattack(engine="reference", version="custom", attacks=["apgd-ce"]),
        eps=0.01,
    )
    out = capfd.readouterr()
    assert out.out == out.err == ""
    assert not caplog.records


@pytest.mark.parametrize(
    ("version", "members"), [("custom", None), ("custom", []), ("standard", ["apgd-ce"]), ("rand", ["square"])]
)
def test_members_are_for_the_custom_version_and_needed_there(version, members):
    with pytest.raises(InputError, match="attacks: is for version: custom, and needed there"):
        autoattack(engine="reference", version=version, attacks=members)


def test_a_name_that_is_no_member_is_refused_before_anything_runs():
    with pytest.raises(InputError, match="apgd-ce"):
        load("attack", "autoattack", {"version": "custom", "attacks": ["apgd-cee"]})


def test_the_engines_eot_is_refused_and_points_to_the_attacks_own():
    x = torch.rand(4, 1, 4, 4)
    with pytest.raises(InputError, match="eot"):
        rbench.evaluate(small(3), x, torch.zeros(4, dtype=torch.int64), attack=autoattack(engine="reference"), eot=4)


def test_the_rand_version_averages_draws_and_the_others_say_that_they_do_not():
    assert autoattack(engine="reference", version="rand").averages_draws
    assert not autoattack(engine="reference").averages_draws
