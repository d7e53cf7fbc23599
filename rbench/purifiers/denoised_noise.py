"""Gaussian noise and a network that takes it out again."""

from torch import Tensor, nn

from rbench.purifiers.clip import clip
from rbench.purifiers.gaussian_noise import GaussianNoise, Normal


class DenoisedNoise(nn.Module):
    """Fresh Gaussian noise on every pass, clipped to [0, 1], then a denoiser.

    Args:
        network: noisy images [B, C, H, W] to clean ones; its own `surrogate`, if it has one, stands in for it.
        sigma: standard deviation of the noise on the [0, 1] pixel scale.
    """

    stochastic = True
    differentiable = True

    def __init__(self, network: nn.Module, *, sigma: float) -> None:
        super().__init__()
        self.network = network
        self.noise = GaussianNoise(sigma=sigma)

    def forward(self, x: Tensor, *, noise: Normal) -> Tensor:
        """The denoised images."""
        return clip(self.network(self.noise(x, noise=noise)))

    def surrogate(self, x: Tensor, *, noise: Normal) -> Tensor:
        """The same noise through the network's stand-in, and no clips, whose gradients vanish on black and white."""
        denoise = getattr(self.network, "surrogate", self.network)
        drawn = noise.normal(*x.shape[1:]).to(x.dtype)
        purified: Tensor = denoise(x + self.noise.sigma * drawn)
        return purified
