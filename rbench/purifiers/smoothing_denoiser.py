"""The purifier `smoothing-denoiser`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Interval

from rbench.bundled_files import weights_file
from rbench.first_look import looked_at

if TYPE_CHECKING:
    from torch import nn

STOCHASTIC = True
DIFFERENTIABLE = True


def files(*, weights: Path, **_: object) -> list[Path]:
    """The file whose bytes decide what it does."""
    return [looked_at(weights_file(weights))]


def components(*, weights: Path, **_: object) -> list[tuple[str, str, dict[str, Any]]]:
    """The network that the weights are of."""
    from rbench.networks.file import named_network

    return named_network(weights)


def smoothing_denoiser(*, weights: Path, sigma: Annotated[float, Interval(gt=0, le=10)] = 0.25) -> "nn.Module":
    """Denoised smoothing: Gaussian noise, then a denoiser, then the classifier (Salman et al. 2020, arXiv 2003.01908, section 2).

    Random; differentiable; nothing optimised at test time. The source certifies the majority of many draws (Cohen et al. 2019, arXiv
    1902.02918); `decide: majority` is that vote without its certificate. The denoiser should know the noise: `rbench fit` trains it at
    the `sigma` of its recipe, on noisy images clipped to [0, 1], so they are clipped here too; the source clips nothing.

    Args:
        weights: a safetensors file of `rbench fit`, trained with the objective `denoising`, or `bundled:NAME`.
        sigma: standard deviation of the noise on the [0, 1] pixel scale; 0.12, 0.25, 0.5 and 1 in the source.
    """
    from rbench.networks.file import read_network
    from rbench.purifiers.denoised_noise import DenoisedNoise

    return DenoisedNoise(read_network(weights, "denoising"), sigma=sigma)
