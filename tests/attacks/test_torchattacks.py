"""Every attack of torchattacks, on colour and grey images, few classes and many."""

import pytest
import torch
from torch import nn

import rbench
from rbench.attacks.torchattacks import _WRAPPERS, OWNED, _library_names, parameters
from rbench.errors import InputError
from rbench.registry import bind, load

library = pytest.importorskip("torchattacks")

NAMES = sorted(_library_names() - set(_WRAPPERS))
ONLY_L2 = ("PGDL2", "PGDRSL2")
FAST = {
    "steps": 2, "n_queries": 20, "popsize": 4, "max_iterations": 10, "binary_search_steps": 2, "restarts": 1, "N": 2,
    "noise_batch_size": 2,
}  # fmt: skip
EPS = 0.1


def problem(channels, classes, *, n=3, side=16):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = nn.Linear(64, classes)
        parts = nn.Conv2d(channels, 4, 3, stride=2), nn.Tanh(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), head
        x = torch.rand(n, channels, side, side) * 0.8 + 0.1
    model = nn.Sequential(*parts).eval().requires_grad_(requires_grad=False)
    return model, x, model(x).argmax(1)


def fast(name):
    accepted = {parameter.name for parameter in parameters(name).parameters}
    return {key: value for key, value in FAST.items() if key in accepted}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "classes"), [(3, 4), (1, 4), (1, 2), (3, 3), (3, 12)])
def test_every_attack_runs_and_is_judged_whatever_the_channels_and_classes(name, channels, classes):
    model, x, y = problem(channels, classes)
    norm = "L2" if name in ONLY_L2 else "Linf"
    eps = 0.6 if name == "AutoAttack" else EPS  # survivors of Square are slow
    found = rbench.evaluate(model, x, y, attack=f"torchattacks:{name}", norm=norm, eps=eps, **fast(name))
    assert found.standard_accuracy.value == 1
    assert float(found.samples["distance"].max()) <= eps + 1.2e-7
    judged = (model(found.adversarial).argmax(1) == y).float()
    assert found.samples["robust"].tolist() == judged.tolist()


@pytest.mark.parametrize("name", ["TIFGSM", "PIFGSM", "PIFGSMPP", "DIFGSM", "OnePixel", "Pixle", "Square"])
@pytest.mark.parametrize("side", [11, 28])
def test_any_image_size_works(name, side):
    model, x, y = problem(1, 4, side=side)
    assert rbench.evaluate(model, x, y, attack=f"torchattacks:{name}", eps=EPS, **fast(name)).samples is not None


@pytest.mark.parametrize("name", ["TIFGSM", "PIFGSM", "PIFGSMPP"])
def test_attacks_made_for_colour_are_as_strong_on_grey_images_as_on_their_colour_copies(name):
    model, x, y = problem(1, 4, n=6)

    class Colour(nn.Module):
        def forward(self, images):
            return model(images.mean(1, keepdim=True))

    options = {"attack": f"torchattacks:{name}", "eps": 0.03, "gradient": "exact"}
    grey = rbench.evaluate(model, x, y, **options)
    colour = rbench.evaluate(Colour(), x.expand(-1, 3, -1, -1).contiguous(), y, **options)
    assert float((grey.adversarial - x).abs().max()) == pytest.approx(0.03, abs=1e-6)
    assert torch.allclose(grey.adversarial.expand(-1, 3, -1, -1), colour.adversarial, atol=1e-6)


@pytest.mark.parametrize("name", ["TIFGSM", "PIFGSM", "PIFGSMPP"])
def test_attacks_made_for_colour_refuse_other_channels_by_name(name):
    model, x, y = problem(4, 4)
    with pytest.raises(InputError, match=rf"torchattacks:{name} works on grey or RGB images \(got 4 channels\)"):
        rbench.evaluate(model, x, y, attack=f"torchattacks:{name}", eps=EPS, **fast(name))


@pytest.mark.parametrize(("name", "norm"), [("PGD", "Linf"), ("PGDL2", "L2"), ("MIFGSM", "Linf")])
def test_every_sample_gets_what_the_library_gives_it_on_the_bare_model(name, norm):
    model, x, y = problem(3, 4, n=6)
    options = {"attack": f"torchattacks:{name}", "norm": norm, "eps": 0.05, "seed": 11, "gradient": "exact"}
    found = rbench.evaluate(model, x, y, alpha=0.01, **options)
    with torch.random.fork_rng():
        torch.manual_seed(11)
        expected = getattr(library, name)(model, eps=0.05, alpha=0.01)(x, y)
    assert torch.equal(found.adversarial, expected)


def test_parameters_reach_the_class():
    model, x, y = problem(3, 4)
    none, one = (
        rbench.evaluate(model, x, y, attack="torchattacks:BIM", eps=0.2, alpha=0.01, steps=steps) for steps in (1, 3)
    )
    assert float((none.adversarial - x).abs().max()) == pytest.approx(0.01, abs=1e-6)
    assert float((one.adversarial - x).abs().max()) == pytest.approx(0.03, abs=1e-6)


def test_the_radius_is_that_of_the_threat():
    model, x, y = problem(3, 4)
    for eps in (0.02, 0.3):
        found = rbench.evaluate(model, x, y, attack="torchattacks:FGSM", eps=eps)
        assert float(found.samples["distance"].max()) == pytest.approx(min(eps, 0.9), abs=1e-6)


@pytest.mark.parametrize("owned", sorted(OWNED))
def test_what_the_threat_and_the_model_decide_cannot_be_given(owned):
    with pytest.raises(InputError, match=owned):
        bind("attack", "torchattacks:APGDT", {owned: 1})
    assert owned not in {parameter.name for parameter in parameters("APGDT").parameters}


@pytest.mark.parametrize(("wrong", "close"), [("MIFGMS", "MIFGSM"), ("pgd", "PGD"), ("DeepFol", "DeepFool")])
def test_a_wrong_name_is_refused_with_close_ones(wrong, close):
    with pytest.raises(InputError, match=f"torchattacks has no attack '{wrong}'.*{close}"):
        bind("attack", f"torchattacks:{wrong}", {})


@pytest.mark.parametrize("name", sorted(_WRAPPERS))
def test_a_wrapper_is_refused_and_said_to_be_one(name):
    with pytest.raises(InputError, match=f"torchattacks:{name} is a wrapper"):
        bind("attack", f"torchattacks:{name}", {})


@pytest.mark.parametrize("name", ONLY_L2)
def test_an_l2_attack_is_refused_under_linf_and_a_linf_attack_under_l2(name):
    model, x, y = problem(3, 4)
    for attack, norm, works in ((name, "Linf", "L2"), ("PGD", "L2", "Linf")):
        with pytest.raises(InputError, match=f"works under {works} .got {norm}"):
            rbench.evaluate(model, x, y, attack=f"torchattacks:{attack}", norm=norm, eps=EPS)


def test_an_attack_without_a_radius_proposes_only_what_lies_in_the_ball():
    model, x, y = problem(3, 4)
    found = rbench.evaluate(model, x, y, attack="torchattacks:GN", eps=1e-3, std=0.3)
    assert torch.equal(found.adversarial, x)
    wide = rbench.evaluate(model, x, y, attack="torchattacks:GN", eps=1.0, std=0.01)
    assert bool((wide.adversarial != x).any())


def test_an_attacks_own_eot_counts_as_eot():
    assert load("attack", "torchattacks:EOTPGD", {"eot_iter": 4}).averages_draws
    assert not load("attack", "torchattacks:PGD", {}).averages_draws


@pytest.mark.parametrize(("name", "classes", "noted"), [("APGDT", 3, True), ("APGDT", 4, False), ("PGD", 2, False)])
def test_the_record_says_which_loss_was_replaced_for_few_classes(name, classes, noted):
    model, x, y = problem(3, classes)
    found = rbench.evaluate(model, x, y, attack=f"torchattacks:{name}", eps=EPS, steps=2)
    assert ("loss" in found.audit) is noted
