"""Steps from a noise level to a lower one, as pure functions; alpha-bar is the squared weight of the image at a level.

Images are [B, C, H, W], pixels in [-1, 1] at level 0. Nothing is clipped on the way, neither the images nor the predicted ones: the papers'
formulas have no clip, nor has DiffPure's reverse SDE, and a clip would take the gradient of every pixel that it touches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import sqrt
from typing import Literal

import torch
from torch import Tensor

Sampler = Literal["ddpm", "ddim", "ode"]
Predict = Callable[[Tensor, Tensor], Tensor]
"""(noisy images, their levels counted from 0, [B] int64) -> the noise in them."""


@dataclass(frozen=True)
class Move:
    """From one noise level to a lower one.

    Attributes:
        high: the level before, counted from 1.
        low: the level after; 0 is the image.
        before: alpha-bar of `high`.
        after: alpha-bar of `low`.
    """

    high: int
    low: int
    before: float
    after: float

    @property
    def variance(self) -> float:
        """Of x_low given x_high and the image: beta-tilde of Ho et al. 2020, eq. 7, for a jump of any length; 0 if it ends at 0."""
        return (1 - self.before / self.after) * (1 - self.after) / (1 - self.before)

    @property
    def blur(self) -> float:
        """Standard deviation of the noise at `high` relative to what is left of the image."""
        return sqrt((1 - self.before) / self.before)


def moves(signal: Sequence[float], top: int, steps: int) -> list[Move]:
    """A way down from a level in steps of almost the same length.

    Args:
        signal: alpha-bar of every level, from level 0.
        top: the level to start from.
        steps: how many moves, at most `top`.
    """
    levels = [round(top * left / steps) for left in range(steps, -1, -1)]
    return [Move(high, low, signal[high], signal[low]) for high, low in pairwise(levels)]


def noise_at(predict: Predict, x: Tensor, level: int) -> Tensor:
    """The noise that a network sees in images of a level, counted from 1."""
    return predict(x, torch.full((len(x),), level - 1, dtype=torch.int64, device=x.device))


def ddpm_mean(predict: Predict, x: Tensor, move: Move) -> Tensor:
    """Mean of x_low given x_high and the image that the network sees in it (Ho et al. 2020, arXiv 2006.11239, eq. 7), for a jump."""
    image = (x - sqrt(1 - move.before) * noise_at(predict, x, move.high)) / sqrt(move.before)
    kept = move.before / move.after
    to_image = sqrt(move.after) * (1 - kept) / (1 - move.before)
    return to_image * image + sqrt(kept) * (1 - move.after) / (1 - move.before) * x


def ddpm(predict: Predict, x: Tensor, move: Move, draw: Tensor | None) -> Tensor:
    """One ancestral step (Ho et al. 2020, algorithm 2) with the smaller of the paper's two variances, beta-tilde.

    Over every level this is DiffPure's reverse SDE by Euler and Maruyama, up to the square of beta.

    Args:
        predict: the network.
        x: images of the level before.
        move: the levels.
        draw: standard normal draws; None where the variance is 0.
    """
    mean = ddpm_mean(predict, x, move)
    return mean if draw is None else mean + sqrt(move.variance) * draw


def ddim(predict: Predict, x: Tensor, move: Move) -> Tensor:
    """One deterministic step: Song et al. 2021, arXiv 2010.02502, eq. 12 with sigma (eta) 0."""
    noise = noise_at(predict, x, move.high)
    image = (x - sqrt(1 - move.before) * noise) / sqrt(move.before)
    return sqrt(move.after) * image + sqrt(1 - move.after) * noise


def ode(predict: Predict, x: Tensor, move: Move) -> Tensor:
    """One step of the probability-flow ODE (Song et al. 2021, arXiv 2011.13456, eq. 13) by Heun's rule; twice the network per step.

    In u = x / sqrt(alpha-bar) and s = sqrt(1 / alpha-bar - 1) it is du/ds = noise (arXiv 2010.02502, eq. 14), where Euler's rule is
    DDIM, so Heun's is what an ODE solver adds: the error of a step falls with its cube. The last step, whose end has no noise to
    predict, is Euler's (Karras et al. 2022, arXiv 2206.00364, algorithm 1).
    """
    if move.low == 0:
        return ddim(predict, x, move)
    end = sqrt((1 - move.after) / move.after)
    start, length = x / sqrt(move.before), end - move.blur
    slope = noise_at(predict, x, move.high)
    ahead = noise_at(predict, (start + length * slope) * sqrt(move.after), move.low)
    return (start + length * (slope + ahead) / 2) * sqrt(move.after)


def step(sampler: Sampler, predict: Predict, move: Move, draw: Callable[[], Tensor]) -> Callable[[Tensor], Tensor]:
    """A move as a pure function of images: what it draws, it draws here.

    Args:
        sampler: which rule; only `ddpm` draws.
        predict: the network.
        move: the levels.
        draw: standard normal draws of the shape of the images.
    """
    if sampler == "ddpm":
        noise = draw() if move.low else None
        return lambda x: ddpm(predict, x, move, noise)
    return partial(ddim if sampler == "ddim" else ode, predict, move=move)
