"""Additive Gaussian noise."""

from typing import Annotated, Protocol

from annotated_types import Interval
from torch import Tensor, nn


class Normal(Protocol):
    """The part of rbench's per-sample noise that this purifier draws from."""

    def normal(self, *shape: int) -> Tensor:
        """Standard normal draws [B, *shape]."""


class GaussianNoise(nn.Module):
    """Fresh Gaussian noise on every pass, clipped to [0, 1].

    The input layer of Liu et al. 2018, arXiv 1712.00673; the base of randomised smoothing, Cohen et al. 2019,
    arXiv 1902.02918.

    Args:
        sigma: standard deviation on the [0, 1] pixel scale.
    """

    stochastic = True
    differentiable = True

    def __init__(self, *, sigma: Annotated[float, Interval(gt=0, le=10)] = 0.1) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, x: Tensor, *, noise: Normal) -> Tensor:
        """The noisy images."""
        return (x + self.sigma * noise.normal(*x.shape[1:]).to(x.dtype)).clamp(0, 1)
