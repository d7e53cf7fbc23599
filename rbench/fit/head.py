"""A linear head on frozen features: logistic regression, which is convex and so has one answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rbench.engine.defended import DefendedModel
from rbench.engine.noise import Noise
from rbench.fit.data import Samples
from rbench.fit.recipe import HeadTraining

_BATCH = 256
_FLAT = 1e-6
"""Largest entry of the gradient at which the minimum is reached."""
_TINY = 1e-3
"""Of the mean spread: features that hardly vary are not blown up."""


@dataclass(frozen=True)
class Head:
    """A linear classifier of features.

    Attributes:
        weight: [classes, features] float32.
        bias: [classes] float32.
        curve: the largest entry of the gradient at every iteration, and the loss at the end.
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
        on_done: told how many more are done.
    """
    model = DefendedModel(purifier.to(device), extractor.to(device))
    noise, found = Noise(seed), []
    with torch.no_grad():
        for places in torch.split(torch.arange(len(samples)), _BATCH):
            images, _ = samples.batch(places, device)
            found.append(model(images, noise.of("audit", places.to(device), device)).cpu())
            on_done(len(places))
    return torch.cat(found)


def fit_head(
    inputs: Tensor,
    labels: Tensor,
    training: HeadTraining,
    on_progress: Callable[[int], None] = lambda iteration: None,
) -> Head:
    """Minimises mean cross-entropy + weight_decay * ||W||^2 over standardised features, in float64.

    L-BFGS with a strong Wolfe line search (Nocedal and Wright 2006, chapter 7) from zero. The standardisation is then put into the weights,
    so that the head takes features as they are.

    Args:
        inputs: [N, D] features.
        labels: [N] int64 classes, from 0.
        training: the factor, and how long to go on.
        on_progress: told of every iteration.
    """
    classes = int(labels.max()) + 1
    mean, spread = inputs.double().mean(0), inputs.double().std(0)
    spread = spread.clamp(min=max(_TINY * float(spread.mean()), torch.finfo(torch.float32).tiny))
    x = (inputs.double() - mean) / spread
    weight = torch.zeros(classes, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    curve: list[dict[str, Any]] = []

    def closure() -> Tensor:
        solver.zero_grad()
        error = functional.cross_entropy(functional.linear(x, weight, bias), labels)
        value = error + training.weight_decay * weight.square().sum()
        torch.autograd.backward(value)
        return value.detach()

    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=1, history_size=20, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0
    )
    for iteration in range(training.iterations):
        solver.step(closure)  # type: ignore[no-untyped-call]
        on_progress(iteration + 1)
        # The line search ends at the point it takes, so these are the gradients there.
        slope = max(float(p.grad.abs().max()) for p in (weight, bias) if p.grad is not None)
        curve.append({"iteration": iteration + 1, "gradient": float(f"{slope:.3g}")})
        if slope < _FLAT:
            break
    curve[-1]["loss"] = round(float(closure()), 8)
    with torch.no_grad():
        scaled = weight / spread
        return Head(scaled.float(), (bias - scaled @ mean).float(), curve)
