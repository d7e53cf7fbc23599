"""A linear head on frozen features: logistic regression, which is convex and so has one answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize
from torch import Tensor, nn
from torch.nn import functional

from rbench.engine.defended import DefendedModel
from rbench.fit.data import Samples
from rbench.fit.recipe import HeadTraining
from rbench.threat.noise import Noise

_BATCH = 256
_FLAT = 1e-5
"""The minimum counts as reached when no entry of the gradient is larger; float32 sums are not exact enough for less."""
_TINY = 1e-3
"""Least standard deviation that a feature is divided by, as a share of the mean one: features that hardly vary are not amplified."""


@dataclass(frozen=True)
class Head:
    """A linear classifier of features.

    Attributes:
        weight: [classes, features] float32.
        bias: [classes] float32.
        curve: the loss at every iteration.
    """

    weight: Tensor
    bias: Tensor
    curve: list[dict[str, Any]]

    def accuracy(self, features: Tensor, labels: Tensor) -> float:
        """The share of features [N, D] that it puts into their class."""
        answers = functional.linear(features, self.weight, self.bias).argmax(1)
        return float((answers == labels).double().mean())


def features(
    purifier: nn.Module,
    extractor: nn.Module,
    samples: Samples,
    *,
    seed: int,
    device: torch.device,
    on_done: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """Features [N, D] float32 of the purified images, on the CPU.

    Args:
        purifier: images to images; the identity for none.
        extractor: images to features [B, D].
        samples: the images.
        seed: of a random purifier, which draws once for every image.
        device: where the networks are.
        on_done: called with the number of samples that have just been done.
    """
    model = DefendedModel(purifier.to(device), extractor.to(device))
    noise, parts = Noise(seed), []
    with torch.no_grad():
        for places in torch.split(torch.arange(len(samples)), _BATCH):
            images, _ = samples.batch(places, device)
            parts.append(model(images, noise.of("audit", places.to(device), device)).cpu())
            on_done(len(places))
    return torch.cat(parts)


def fit_head(
    inputs: Tensor,
    labels: Tensor,
    training: HeadTraining,
    on_progress: Callable[[int], None] = lambda iteration: None,
) -> Head:
    """Minimises mean cross-entropy + weight_decay * ||W||^2 over standardised features.

    L-BFGS (Liu and Nocedal 1989) of SciPy from zero. The standardisation is then put into the weights, so that the head takes features as
    they are.

    Args:
        inputs: [N, D] features.
        labels: [N] int64 classes, from 0.
        training: the factor, and how long to go on.
        on_progress: called after every iteration with its number.
    """
    classes, width = int(labels.max()) + 1, inputs.shape[1]
    mean, spread = inputs.double().mean(0), inputs.double().std(0)
    spread = spread.clamp(min=max(_TINY * float(spread.mean()), torch.finfo(torch.float32).tiny))
    x = (inputs - mean.float()) / spread.float()
    curve: list[dict[str, Any]] = []

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        whole = torch.from_numpy(flat).view(classes, width + 1)
        point = whole.float().requires_grad_()
        error = functional.cross_entropy(functional.linear(x, point[:, :width], point[:, width]), labels)
        (gradient,) = torch.autograd.grad(error, point)
        gradient, weight = gradient.double(), whole[:, :width]
        gradient[:, :width] += 2 * training.weight_decay * weight
        return float(error.detach()) + training.weight_decay * float(weight.square().sum()), gradient.flatten().numpy()

    def note(intermediate_result: OptimizeResult) -> None:
        curve.append({"iteration": len(curve) + 1, "loss": round(float(intermediate_result.fun), 6)})
        on_progress(len(curve))

    options = {"maxiter": training.iterations, "gtol": _FLAT, "ftol": 1e-9}
    start = np.zeros(classes * (width + 1))
    solution = minimize(loss, start, jac=True, method="L-BFGS-B", callback=note, options=options)
    best = torch.from_numpy(solution.x).view(classes, width + 1)
    scaled = best[:, :width] / spread
    return Head(scaled.float(), (best[:, width] - scaled @ mean).float(), curve)
