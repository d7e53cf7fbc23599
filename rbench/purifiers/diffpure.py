"""The purifier `diffpure`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Interval

from rbench.purifiers.noise_network import noise_network, noise_network_component, noise_network_files

if TYPE_CHECKING:
    from torch import nn

STOCHASTIC = True
DIFFERENTIABLE = True


def files(*, weights: Path, **_: object) -> list[Path]:
    """The files whose bytes decide what it does."""
    return noise_network_files(weights)


def components(*, weights: Path, **_: object) -> list[tuple[str, str, dict[str, Any]]]:
    """The network that the weights are of."""
    return noise_network_component(weights)


def diffpure(
    *,
    weights: Path,
    t: Annotated[float, Interval(gt=0, le=1)] = 0.1,
    steps: Annotated[int, Interval(ge=1, le=100_000)] | None = None,
    sampler: Literal["ddpm", "ddim", "ode"] = "ddpm",
    surrogate_steps: Annotated[int, Interval(ge=1, le=100_000)] = 5,
) -> "nn.Module":
    """DiffPure: noise is added to the image and taken out again by a diffusion model (Nie et al. 2022, arXiv 2205.07460, section 3.1).

    The paper's setting for CIFAR-10 at Linf 8/255 is `t: 0.1` with every step; its solver of the reverse SDE is `ddpm` up to the square
    of beta.

    Args:
        weights: a safetensors file of `rbench fit`, trained with the objective `noise-prediction`, `bundled:NAME`, or
            `diffusers:FOLDER` or `diffusers:OWNER/NAME` for a UNet2DModel of diffusers with the config of its scheduler, downloaded before.
        t: the highest noise level, as a share of all: 0.1 is level 100 of 1,000.
        steps: reverse steps, evenly spaced, at most one a level; null for every level.
        sampler: `ddpm` draws at every step; `ddim` (eta 0) and `ode` (probability flow, Heun's rule, two network passes a step) draw
            only the noise that is added first.
        surrogate_steps: reverse steps of the stand-in for BPDA; as many as `steps` if that is less.
    """
    from rbench.purifiers.diffusion import Diffusion

    return Diffusion(noise_network(weights), t=t, steps=steps, sampler=sampler, surrogate_steps=surrogate_steps)
