"""A purifier or backbone with one fault fails the property that is about it, is told the cure, and fails no other."""

import numpy as np
import pytest
import torch
from small_models import Says, backward

from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.purifiers.jpeg import Jpeg
from rbench.testing.conformance import check_made
from rbench.testing.known_answers import (
    ClockSeeded,
    ConstantClassifier,
    RemembersItsInput,
    Shatterer,
    WritesToItsInput,
    in_train_mode,
)

FEW = {"images": 4, "shape": "1x8x8"}


def blur(x):
    return torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def alone(x):
    if len(x) == 1:
        raise ValueError("two at least")
    return blur(x)


def numpys(x):
    np.random.seed(0)  # noqa: NPY002
    return blur(x)


def reseeded(x):
    torch.manual_seed(1)
    return blur(x)


def elsewhere(x):
    return blur(x) * torch.ones(x.shape[1:])


class Draws(torch.nn.Module):
    stochastic = False

    def forward(self, x):
        return (x + 0.1 * torch.randn_like(x)).clamp(0, 1)


FAULTS = {
    "shape": Says(lambda x: x[:, :, 1:]),
    "shape (nothing)": Says(lambda x: None),
    "shape (raises)": Says(lambda x: x.reshape(1, 2, 3)),
    "input": WritesToItsInput(),
    "input (hidden)": WritesToItsInput(hidden=True),
    "finite": Says(lambda x: x / (x - x)),
    "range": Says(lambda x: 2 * blur(x)),
    "batches": Says(lambda x: (x - 0.1 * x.mean((0, 2, 3), keepdim=True)).clamp(0, 1)),
    "batches (one image)": Says(alone),
    "randomness": Draws(),
    "state": RemembersItsInput(hidden=True),
    "gradient": Says(lambda x: blur(x.detach())),
    "gradient (zero)": Shatterer(),
    "slope": backward(lambda gradient, x: -gradient),
    "float64": Says(lambda x: blur(x) if x.dtype == torch.float32 else (blur(x) + 0.1).clamp(0, 1)),
    "device": Says(elsewhere),
    "process": Says(reseeded),
    "surrogate": Says(blur, surrogate=lambda x: x.detach()),
    "encode": Says(blur, encode=lambda x: x),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_purifier_is_found_and_nothing_else_is(fault):
    found = check_made("purifier", FAULTS[fault], **FEW)
    wanted = fault.partition(" ")[0]
    assert found.failed == (wanted,), found.text()
    (verdict,) = [one for one in found.verdicts if one.property == wanted]
    assert verdict.cure
    assert found.document()["conforms"] is False


@pytest.mark.parametrize(
    "purifier",
    [Says(blur, stochastic=False), Jpeg(), GaussianNoise(), Says(lambda x: blur(x).detach(), differentiable=False)],
    ids=["blur", "jpeg", "noise", "cut"],
)
def test_an_honest_purifier_fails_nothing(purifier):
    found = check_made("purifier", purifier, **FEW)
    assert not found.failed, found.text()
    assert {"shape", "range", "state", "gradient", "device", "frozen", "cost"} <= {
        one.property for one in found.verdicts
    }


def test_noise_from_the_clock_is_neither_reproducible_nor_declared():
    assert set(check_made("purifier", ClockSeeded(), **FEW).failed) == {"determinism", "randomness"}


def test_a_memory_in_a_buffer_is_seen_as_state_and_as_a_change():
    assert set(check_made("purifier", RemembersItsInput(), **FEW).failed) == {"state", "frozen"}


def test_the_line_of_the_author_that_raised_is_told():
    found = check_made("purifier", Says(lambda x: x.reshape(1, 2, 3)), **FEW)
    assert "test_conformance_models.py:" in found.text()


def test_the_sizes_that_a_purifier_takes_are_told():
    (sizes,) = [one for one in check_made("purifier", Says(blur), images=4).verdicts if one.property == "sizes"]
    assert "3x33x47" in sizes.found


BACKBONES = {
    "logits": torch.nn.Sequential(in_train_mode().eval(), torch.nn.Softmax(1)),
    "gradient": ConstantClassifier(attached=False),
    "randomness": torch.nn.Sequential(in_train_mode().eval(), Says(lambda x: x + 0.1 * torch.randn_like(x))),
    "shape": torch.nn.Sequential(in_train_mode().eval(), Says(lambda x: x[:, 0])),
}


@pytest.mark.parametrize("fault", BACKBONES)
def test_a_fault_of_a_backbone_is_found(fault):
    found = check_made("backbone", BACKBONES[fault], **FEW)
    assert fault in found.failed, found.text()


def test_a_backbone_in_train_mode_is_noted_and_conforms_when_it_is_frozen():
    found = check_made("backbone", in_train_mode(), **FEW)
    assert not found.failed, found.text()
    assert {one.outcome for one in found.verdicts if one.property == "eval mode"} == {"note"}


def test_what_is_no_module_is_told_so():
    assert check_made("purifier", blur).failed == ("type",)
    assert check_made("backbone", object()).failed == ("type",)
