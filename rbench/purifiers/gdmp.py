"""The purifier `gdmp`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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


def gdmp(
    *,
    weights: Path,
    t: Annotated[float, Interval(gt=0, le=1)] = 0.036,
    steps: Annotated[int, Interval(ge=1, le=100_000)] | None = None,
    scale: Annotated[float, Interval(ge=0, le=1e6)] = 20.0,
    rounds: Annotated[int, Interval(ge=1, le=100)] = 4,
    surrogate_steps: Annotated[int, Interval(ge=1, le=100_000)] = 5,
) -> "nn.Module":
    """GDMP: diffusion purification held near the image by guidance (Wang et al. 2022, arXiv 2205.14969, algorithm 1).

    Each ancestral step moves the mean by variance * scale * sqrt(1 / alpha-bar - 1) * (the image at this noise level - x): the gradient of
    half the squared distance, under the paper's scale of a level. The noise of the image is fresh at every step, and every round is held
    near the image that came in. The authors' code takes the mean over pixels and batch; its CIFAR-10 setting (guide_scale 60,000,
    100 images of 3,072 numbers, 8/255) is a scale of 18.7 here, with `t: 0.036` and 4 rounds. It clips predicted images; this does not.

    Args:
        weights: as of `diffpure`.
        t: the highest noise level, as a share of all: 0.036 is level 36 of 1,000.
        steps: reverse steps of a round, evenly spaced, at most one a level; null for every level.
        scale: of the guidance; 0 for none.
        rounds: how many times noise is added and taken out.
        surrogate_steps: reverse steps of a round in the stand-in for BPDA; as many as `steps` if that is less.
    """
    from rbench.purifiers.diffusion import Diffusion

    return Diffusion(
        noise_network(weights), t=t, steps=steps, surrogate_steps=surrogate_steps, guidance=scale, rounds=rounds
    )
