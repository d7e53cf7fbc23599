import pytest
import torch
from torch import nn

import rbench
from rbench.fit.average import Average
from rbench.fit.data import read_samples, split
from rbench.fit.load import load_recipe
from rbench.fit.run import document, fit
from rbench.networks.file import read_network
from rbench.running.components import make
from rbench.threat.noise import Noise

DIFFUSION = """
recipe: tiny-ddpm
train: purifier
stored: fp16
dataset: {{name: npz, path: "{data}"}}
network: {{name: unet, side: 8, channels: 1, widths: [8, 8]}}
objective: noise-prediction
training: {{epochs: 2, batch_size: 8, held_out: 6, ema: 0.9}}
"""


def number(value):
    network = nn.BatchNorm1d(1)
    with torch.no_grad():
        network.weight.fill_(value)
    return network


def test_the_average_by_hand():
    """Decay 1/2, but 1/10 after the first step, 2/11 after the second: (1 + k) / (10 + k)."""
    network = number(4.0)
    average = Average(network, 0.5)
    expected = 4.0
    for step, value in enumerate([1.0, 2.0, 8.0, 3.0]):
        with torch.no_grad():
            network.weight.fill_(value)
        network.running_mean.fill_(value)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    average.update(1000)
    expected = 0.5 * expected + 0.5 * 3.0
    with average.worn():
        assert network.weight.item() == pytest.approx(expected, rel=1e-6)
        assert network.running_mean.item() == 3.0  # a buffer is what it is
    assert network.weight.item() == 3.0
    average.put_on()
    assert network.weight.item() == pytest.approx(expected, rel=1e-6)


def test_without_a_decay_there_is_no_average():
    network = number(4.0)
    average = Average(network, None)
    average.update(0)
    with average.worn():
        assert network.weight.item() == 4.0
    average.put_on()
    assert average.state == {}


def test_what_is_held_out_is_measured_with_the_average_that_is_written(recipe, tmp_path):
    """One step past the average would tell another loss: the rate is high and the average slow."""
    slow = ["training.ema=0.999", "training.learning_rate=0.05", "objective=reconstruction"]
    fitted = fit(recipe("purifier", *slow), tmp_path)
    network = read_network(fitted.weights, "reconstruction")
    dataset = make("dataset", "npz", {"path": str(tmp_path / "tiny.npz")})
    held_out = split(read_samples(dataset, torch.arange(40).numpy(), labelled=False), 6)[1]
    images, _ = held_out.batch(torch.arange(6), torch.device("cpu"))
    loss = float((network(images) - images).square().flatten(1).sum(1).mean())
    assert fitted.card.metrics["held_out.loss"] == pytest.approx(loss, rel=1e-4)


def test_a_recipe_without_an_average_or_another_precision_is_the_recipe_that_it_was(recipe):
    """The fingerprints of the committed cards are of documents without these two fields."""
    bound = recipe("purifier")
    plain = document(bound, bound.resolved())
    assert "stored" not in plain
    assert "ema" not in plain["training"]
    given = recipe("purifier", "training.ema=0.9", "stored=fp16")
    whole = document(given, given.resolved())
    assert (whole["stored"], whole["training"]["ema"]) == ("fp16", 0.9)


def test_a_diffusion_purifier_is_trained_written_in_half_and_loaded_by_its_name(write, tmp_path):
    fitted = fit(load_recipe(write(text=DIFFUSION)), tmp_path / "out")
    x = torch.rand(3, 1, 8, 8)
    noise = Noise(0).of("score", torch.arange(3), x.device)
    for name in ("diffpure", "gdmp"):
        purified = rbench.load("purifier", name, weights=fitted.weights, t=0.02, steps=2)(x, noise=noise)
        assert purified.shape == x.shape
        assert 0 <= float(purified.min()) <= float(purified.max()) <= 1
    assert fitted.card.weights.bytes < 2.6 * fitted.card.weights.parameters + 20_000
