"""Data whose score is known: a Gaussian N(mean, spread^2) on every pixel, or with spread 0 a point."""

import torch
from torch import nn

from rbench.networks.schedules import signal


class GaussianWorld(nn.Module):
    """The perfect network for such data, in closed form: eps = -sqrt(1 - a) * score, with x_t ~ N(sqrt(a) mean, a spread^2 + 1 - a)."""

    def __init__(self, mean=0.3, spread=0.5, channels=1, stride=1, schedule="linear"):
        super().__init__()
        self.register_buffer("signal", signal(schedule))
        self.mean, self.spread, self.channels, self.stride = mean, spread, channels, stride
        self.asked = []

    def forward(self, x, t):
        self.asked.append(x)
        a = self.signal[t + 1].to(x.dtype).view(-1, 1, 1, 1)
        return (1 - a).sqrt() * (x - a.sqrt() * self.mean) / (a * self.spread**2 + 1 - a)

    def posterior(self, x, a):
        """Mean and variance of the image given x at alpha-bar a."""
        whole = a * self.spread**2 + 1 - a
        return self.mean + a**0.5 * self.spread**2 / whole * (x - a**0.5 * self.mean), self.spread**2 * (1 - a) / whole

    def flow(self, x, a):
        """Where the probability-flow ODE takes x: its distance from the mean in standard deviations stays."""
        return self.mean + self.spread * (x - a**0.5 * self.mean) / (a * self.spread**2 + 1 - a) ** 0.5


class Still:
    """Noise that is always the same number."""

    def __init__(self, batch, value=0.0):
        self.batch, self.value, self.asked = batch, value, 0

    def normal(self, *shape):
        self.asked += 1
        return torch.full((self.batch, *shape), self.value)
