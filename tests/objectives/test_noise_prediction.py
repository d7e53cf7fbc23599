import pytest
import torch
from torch import nn

from rbench.objectives.noise_prediction import noise_prediction


class Echo(nn.Module):
    """Tells `factor` times its input, and keeps what it was asked."""

    def __init__(self, factor, signal=(1.0, 0.64, 0.25)):
        super().__init__()
        self.register_buffer("signal", torch.tensor(signal, dtype=torch.float64))
        self.factor, self.asked = factor, []

    def forward(self, x, t):
        self.asked.append((x, t))
        return self.factor * x


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_loss_by_hand():
    """Two images of one pixel; levels and noise are the generator's, the rest is arithmetic."""
    images = torch.tensor([0.75, 0.1]).view(2, 1, 1, 1)
    loss, terms = noise_prediction()(Echo(0.5), images, draws())
    again = draws()
    levels = torch.randint(1, 3, (2,), generator=again).tolist()
    noise = torch.randn(2, 1, 1, 1, generator=again).flatten().tolist()
    expected = 0.0
    for pixel, level, e in zip((0.5, -0.8), levels, noise, strict=True):  # 2 x - 1
        signal, spread = {1: (0.8, 0.6), 2: (0.5, 0.75**0.5)}[level]
        expected += (0.5 * (signal * pixel + spread * e) - e) ** 2 / 2
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert terms == {}


def test_predicting_nothing_costs_one():
    loss, _ = noise_prediction()(Echo(0.0), torch.rand(2000, 1, 4, 4, generator=draws(1)), draws())
    assert float(loss) == pytest.approx(1, abs=0.02)


def test_levels_are_uniform_from_the_first_to_the_last_and_counted_from_zero():
    network = Echo(0.0, signal=[1.0, 0.9, 0.7, 0.4, 0.1])
    noise_prediction()(network, torch.zeros(4000, 1, 1, 1), draws())
    counts = network.asked[0][1].bincount(minlength=4)
    assert len(counts) == 4
    assert (counts - 1000).abs().max() < 120  # four and a half standard deviations


def test_a_network_that_knows_the_image_has_no_loss():
    class Knows(Echo):
        def forward(self, x, t):
            left = self.signal[t + 1].float().view(-1, 1, 1, 1)
            return (x - left.sqrt() * (2 * 0.3 - 1)) / (1 - left).sqrt()

    loss, _ = noise_prediction()(Knows(0.0), torch.full((50, 1, 2, 2), 0.3), draws())
    assert float(loss) < 1e-10
