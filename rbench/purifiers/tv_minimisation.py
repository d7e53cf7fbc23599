"""Total variation minimisation."""

import math
from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad

from rbench.purifiers.clip import clip
from rbench.purifiers.random_resize_pad import Uniform

Stage = Callable[[Tensor], Tensor]

SMOOTHING = 0.01
"""Below differences of this much of the pixel scale, total variation is a parabola: without it flat areas have no gradient."""


class TvMinimisation(nn.Module):
    """Forgets random pixels and draws the image of least total variation through the others (Guo et al. 2018, arXiv 1711.00117, section 4).

    Random; differentiable; optimising at test time. The minimum of 1/2 ||m (z - x)||^2 + lambda_tv TV(z), m the mask of the kept pixels
    and TV the sum over pixels and channels of sqrt(dx^2 + dy^2 + 0.01^2), is approached by `steps` steps of Nesterov's accelerated gradient
    (Beck and Teboulle 2009, "A fast iterative shrinkage-thresholding algorithm", eq. 4.1 to 4.3) of length 1 / (1 + 8 lambda_tv / 0.01).
    They start from the mean of the kept pixels near by and are plain operations, so autograd has exact gradients of every order. Nothing
    is read of a forgotten pixel.

    The paper writes the distance without its square, and the norms of whole rows for TV; the authors' code minimises the square, and with
    split Bregman the sum over pixels, as here. Pixels are forgotten in each channel by itself, as there. The output is clipped to [0, 1].

    Args:
        drop_rate: probability that a pixel is forgotten; 0.5 in the source.
        lambda_tv: weight of total variation, for pixels in [0, 1]; 0.03 in the source.
        steps: of the minimiser. 100 come within 0.2 % of the minimum on 28x28 pixels.
        surrogate_steps: of the stand-in for BPDA, with the same mask; as many as `steps` if that is less.
    """

    stochastic = True
    differentiable = True

    def __init__(
        self,
        *,
        drop_rate: Annotated[float, Interval(ge=0, lt=1)] = 0.5,
        lambda_tv: Annotated[float, Interval(ge=0, le=10)] = 0.03,
        steps: Annotated[int, Interval(ge=1, le=10_000)] = 100,
        surrogate_steps: Annotated[int, Interval(ge=1, le=10_000)] = 20,
    ) -> None:
        super().__init__()
        self.drop_rate = drop_rate
        self.lambda_tv = lambda_tv
        self.steps = steps
        self.surrogate_steps = min(surrogate_steps, steps)

    def stages(self, x: Tensor, noise: Uniform) -> list[Stage]:
        """Pure functions whose composition is the forward pass; the mask is drawn here.

        What passes from one to the next is [B, 3 C, H, W]: the image, the point, and the point pushed on by its momentum.

        Args:
            x: images [B, C, H, W] in [0, 1]; only their shape and type are used.
            noise: of each sample.
        """
        return self._stages(x, noise, self.steps)

    def forward(self, x: Tensor, *, noise: Uniform) -> Tensor:
        """The images of least total variation."""
        return _composed(self._stages(x, noise, self.steps), x)

    def surrogate(self, x: Tensor, *, noise: Uniform) -> Tensor:
        """The same with fewer steps."""
        return _composed(self._stages(x, noise, self.surrogate_steps), x)

    def _stages(self, x: Tensor, noise: Uniform, steps: int) -> list[Stage]:
        mask = (noise.uniform(*x.shape[1:]) >= self.drop_rate).to(x.dtype)
        length = 1 / (1 + 8 * self.lambda_tv / SMOOTHING)

        def enter(image: Tensor) -> Tensor:
            start = nearby(image, mask)
            return torch.cat([image, start, start], 1)

        def step(momentum: float) -> Stage:
            def stage(state: Tensor) -> Tensor:
                image, point, ahead = state.chunk(3, 1)
                slope = mask * (ahead - image) + self.lambda_tv * variation_slope(ahead)
                moved = ahead - length * slope
                return torch.cat([image, moved, moved + momentum * (moved - point)], 1)

            return stage

        return [enter, *map(step, _momenta(steps)), lambda state: clip(state.chunk(3, 1)[1])]


def objective(z: Tensor, x: Tensor, mask: Tensor, lambda_tv: float) -> Tensor:
    """What is minimised, [B]."""
    down, right = _differences(z)
    variation = (down.square() + right.square() + SMOOTHING**2).sqrt()
    return ((mask * (z - x)).square() / 2 + lambda_tv * variation).flatten(1).sum(1)


def variation_slope(z: Tensor) -> Tensor:
    """The gradient of total variation: the transpose of the differences, on the differences over their length."""
    down, right = _differences(z)
    size = (down.square() + right.square() + SMOOTHING**2).sqrt()
    down, right = down / size, right / size
    return pad(down[:, :, :-1], [0, 0, 1, 0]) - down + pad(right[..., :-1], [1, 0]) - right


def nearby(x: Tensor, mask: Tensor) -> Tensor:
    """The mean of the kept pixels within two pixels of each; of all kept ones where there is none, and grey if none is kept at all."""
    faint = 1e-3

    def mean(values: Tensor) -> Tensor:
        return avg_pool2d(values, 5, stride=1, padding=2) + faint * values.mean((2, 3), keepdim=True)

    return (mean(mask * x) + faint**2 / 2) / (mean(mask) + faint**2)


def _differences(z: Tensor) -> tuple[Tensor, Tensor]:
    """To the pixel below and to the right; 0 at the last."""
    return pad(z.diff(dim=2), [0, 0, 0, 1]), pad(z.diff(dim=3), [0, 1])


def _momenta(steps: int) -> list[float]:
    momenta, t = [], 1.0
    for _ in range(steps):
        following = (1 + math.sqrt(1 + 4 * t * t)) / 2
        momenta.append((t - 1) / following)
        t = following
    return momenta


def _composed(stages: list[Stage], x: Tensor) -> Tensor:
    for stage in stages:
        x = stage(x)
    return x
