"""Which outputs are told from logits, and which honest ones must not be."""

import pytest
import torch
from small_models import Says
from torch import nn

import rbench
from rbench.engine.defended import DefendedModel
from rbench.engine.outputs import not_logits
from rbench.purifiers.identity import Identity


def net(*more, scale=1.0, classes=5, hidden=32):
    """A small network with logits of about the size of `scale`."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Flatten(), nn.Linear(16, hidden), nn.ReLU(), nn.Linear(hidden, classes))
    last = layers[-1]
    with torch.no_grad():
        last.weight *= 5 * scale
    return nn.Sequential(layers, *more).eval()


def name(backbone, n=32):
    x = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    model = DefendedModel(Identity(), backbone)
    with torch.no_grad():
        return not_logits(model, x[:16], backbone(x))


@pytest.mark.parametrize("scale", [0.2, 1.0, 30.0])
@pytest.mark.parametrize("classes", [2, 5, 100])
@pytest.mark.parametrize(
    ("last", "named"),
    [
        (lambda z: z.softmax(1), "probabilities"),
        (lambda z: z.log_softmax(1), "log-probabilities"),
        (lambda z: 10 * z.softmax(1), "scaled probabilities"),
        (lambda z: z.softmax(1) - 0.3, "scaled probabilities"),
        (lambda z: -3 * z.softmax(1), "scaled probabilities"),
        (torch.sigmoid, "sigmoids"),
    ],
    ids=["softmax", "log-softmax", "ten softmax", "shifted softmax", "negative softmax", "sigmoid"],
)
def test_squashed_outputs_are_named(last, named, classes, scale):
    assert name(net(Says(last), scale=scale, classes=classes)) == named


def test_one_minus_softmax_is_named():
    assert name(net(Says(lambda z: 1 - z.softmax(1)), scale=3, classes=5)) == "scaled probabilities"


def test_a_cap_counts_where_the_outputs_have_reached_it():
    assert name(net(Says(lambda z: torch.tanh(100 * z)))) == "saturated"
    assert name(net(Says(lambda z: 30 * torch.tanh(z / 30)))) is None


@pytest.mark.parametrize("scale", [0.2, 1.0, 30.0])
@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
@pytest.mark.parametrize(
    "last",
    [
        lambda z: z,
        lambda z: z - z.mean(1, keepdim=True),  # rows of zero sum
        lambda z: z - z.mean(1, keepdim=True) + 0.7,  # of a sum that is not zero
        lambda z: z - z.logsumexp(1, keepdim=True) + 2,
        lambda z: z / z.norm(dim=1, keepdim=True).clamp(min=1e-6),  # cosines, without a temperature
        lambda z: z - z.amin(1, keepdim=True),
        lambda z: torch.relu(z),
        lambda z: 0.5 + 0.01 * z,
    ],
    ids=["plain", "zero sum", "one sum", "shifted log", "unit length", "from zero", "relu", "within the unit"],
)
def test_logits_of_any_kind_stay_logits(last, classes, scale):
    assert name(net(Says(last), scale=scale, classes=classes)) is None


def test_a_constant_says_nothing_and_hard_labels_are_no_logits():
    assert name(net(Says(lambda z: 0 * z + torch.arange(5)))) is None
    assert name(net(Says(lambda z: 7.0 * nn.functional.one_hot(z.argmax(1), 5)))) == "scaled probabilities"


def test_a_backbone_may_refuse_extreme_images():
    class Refuses(nn.Module):
        def forward(self, x):
            if float(x.max()) > 1:
                raise ValueError("pixels are in [0, 1]")
            return 10 * net()(x).softmax(1)

    assert name(Refuses()) is None  # nothing crowds at the ends


@pytest.mark.parametrize("backbone", ["fashion-cnn", "fashion-cnn-adversarial"])
@pytest.mark.parametrize("last", ["logits", "sigmoids", "scaled probabilities"])
def test_bundled_backbones_return_logits_and_squashed_they_do_not(backbone, last):
    dataset = rbench.load("dataset", "fashion-mnist-mini")
    x = torch.from_numpy(dataset.read(torch.arange(32).numpy()))
    squash = {"logits": lambda z: z, "sigmoids": torch.sigmoid, "scaled probabilities": lambda z: 10 * z.softmax(1)}
    model = nn.Sequential(rbench.load("backbone", f"bundled:{backbone}"), Says(squash[last]))
    with torch.no_grad():
        found = not_logits(DefendedModel(Identity(), model), x[:16], model(x))
    assert found == (None if last == "logits" else last)
