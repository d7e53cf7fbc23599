"""Purifying by diffusion: noise is added to an image and taken out again, and what an attacker added should go with it."""

from collections.abc import Callable
from functools import partial
from itertools import chain
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from rbench.networks.schedules import noised
from rbench.purifiers.gaussian_noise import Normal
from rbench.purifiers.rounding import trim
from rbench.purifiers.samplers import Move, Sampler, ddpm_mean, moves, step

Stage = Callable[[Tensor], Tensor]
Draw = Callable[[], Tensor]


class Diffusion(nn.Module):
    """Forward to a noise level and back, once or in several rounds, unguided or guided by the image itself.

    Images whose sides are no multiple of the network's stride get a copy of their last row and column as padding, which is diffused
    with them and cut off at the end. The output is clipped to [0, 1] at the very end and nowhere before. That clip is part of the defence,
    so its gradient is the true one, zero on pixels that are clipped in this draw; a background at 0 is clipped in about half of the draws,
    and EOT sees the other half. `surrogate` has the same values with a clip that lets every gradient through.

    Args:
        network: (x, t) -> the noise in images; with `signal` [T + 1], alpha-bar of every level, `stride` and `channels`.
        t: the highest noise level as a share of all, in (0, 1].
        steps: reverse steps; every level if None.
        surrogate_steps: reverse steps of the surrogate, at most `steps`.
        sampler: the rule of a step; a guided one is always `ddpm`.
        guidance: scale of the pull towards the image that is purified; None for no pull.
        rounds: how many times noise is added and removed.
    """

    stochastic = True
    differentiable = True

    def __init__(
        self,
        network: nn.Module,
        *,
        t: float,
        steps: int | None,
        surrogate_steps: int,
        sampler: Sampler = "ddpm",
        guidance: float | None = None,
        rounds: int = 1,
    ) -> None:
        super().__init__()
        self.network = network
        self.levels: list[float] = network.signal.tolist()  # type: ignore[operator]
        self.top = max(1, round(t * (len(self.levels) - 1)))
        self.steps = self.top if steps is None else steps
        if self.steps > self.top:
            raise ValueError(f"{self.steps} steps from noise level {self.top}; give at most {self.top}, or a larger t")
        self.surrogate_steps = min(surrogate_steps, self.steps)
        self.sampler, self.guidance, self.rounds = sampler, guidance, rounds

    def stages(self, x: Tensor, noise: Normal) -> list[Stage]:
        """Pure functions whose composition is the forward pass; all noise is drawn here.

        What passes from one to the next is [B, C, H, W], or [B, 2 C, H, W] with guidance, which carries the image beside the noisy one:
        a stage reads nothing but its argument.

        Args:
            x: images [B, C, H, W] in [0, 1]; only their shape and type are used.
            noise: of each sample.
        """
        return self._stages(x, noise, self.steps, lambda images: images.clamp(0, 1))

    def forward(self, x: Tensor, *, noise: Normal) -> Tensor:
        """The purified images [B, C, H, W] in [0, 1]."""
        return _composed(self.stages(x, noise), x)

    def surrogate(self, x: Tensor, *, noise: Normal) -> Tensor:
        """The same with fewer steps, and a clip that lets the gradient through; the first draw is the purifier's own."""
        return _composed(self._stages(x, noise, self.surrogate_steps, trim), x)

    def _stages(self, x: Tensor, noise: Normal, steps: int, clip: Stage) -> list[Stage]:
        channels, height, width = x.shape[1:]
        if channels != self.network.channels:
            raise ValueError(f"the network is made for {self.network.channels} channels; these have {channels}")
        stride: int = self.network.stride  # type: ignore[assignment]
        bottom, right = -height % stride, -width % stride

        def enter(images: Tensor) -> Tensor:
            whole = pad(images, (0, right, 0, bottom), mode="replicate") if bottom or right else images
            return 2 * whole - 1

        def draw() -> Tensor:
            return noise.normal(channels, height + bottom, width + right).to(x.dtype)

        def leave(images: Tensor) -> Tensor:
            return clip((images[..., :height, :width] + 1) / 2)

        path = moves(self.levels, self.top, steps)
        if self.guidance is None:
            rounds = [self._round(path, draw) for _ in range(self.rounds)]
            return [enter, *chain.from_iterable(rounds), leave]
        rounds = [self._guided_round(path, draw, self.guidance) for _ in range(self.rounds)]
        return [enter, _doubled, *chain.from_iterable(rounds), _first, leave]

    def _round(self, path: list[Move], draw: Draw) -> list[Stage]:
        up = partial(noised, left=path[0].before, noise=draw())
        return [up, *(step(self.sampler, self.network, move, draw) for move in path)]

    def _guided_round(self, path: list[Move], draw: Draw, scale: float) -> list[Stage]:
        up = partial(noised, left=path[0].before, noise=draw())
        return [_on_first(up), *(self._guided(move, draw, scale) for move in path)]

    def _guided(self, move: Move, draw: Draw, scale: float) -> Stage:
        if not move.low:
            return _on_first(lambda x: ddpm_mean(self.network, x, move))
        fresh, again = draw(), draw()

        def stage(both: Tensor) -> Tensor:
            x, image = both.chunk(2, 1)
            pull = scale * move.blur * (noised(image, move.before, again) - x)
            mean = ddpm_mean(self.network, x, move) + move.variance * pull
            return torch.cat([mean + sqrt(move.variance) * fresh, image], 1)

        return stage


def _composed(stages: list[Stage], x: Tensor) -> Tensor:
    for stage in stages:
        x = stage(x)
    return x


def _doubled(x: Tensor) -> Tensor:
    return torch.cat([x, x], 1)


def _first(both: Tensor) -> Tensor:
    return both.chunk(2, 1)[0]


def _on_first(stage: Stage) -> Stage:
    def on_first(both: Tensor) -> Tensor:
        x, image = both.chunk(2, 1)
        return torch.cat([stage(x), image], 1)

    return on_first
