"""The two sides of the theorem, measured on images."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional

from rbench.engine.defended import DefendedModel
from rbench.fit.loop import seeded
from rbench.fit.recipe import InnerAttack
from rbench.fit.tasks import attacked
from rbench.objectives.adversarial_contrastive import Encode, contrastive_loss, hardest
from rbench.theory.points import Settings

Measured = dict[str, float]


def measure(
    model: DefendedModel,
    images: Tensor,
    labels: Tensor,
    radius: float,
    settings: Settings,
    on_done: Callable[[int], None] = lambda count: None,
) -> Measured:
    """Cross-entropies, contrastive losses and accuracies, clean and attacked; means over the images.

    Args:
        model: a deterministic purifier with `encode`, and a backbone.
        images: [N, C, H, W] in [0, 1], at least two.
        labels: [N] int64.
        radius: Linf, on the [0, 1] pixel scale.
        settings: how hard to look.
        on_done: told how many more images are done.
    """
    parts = -(-len(images) // settings.batch)
    sums: Measured = {}
    pairs = zip(torch.tensor_split(images, parts), torch.tensor_split(labels, parts), strict=True)
    for number, (x, y) in enumerate(pairs):
        generator = seeded(x.device, settings.seed, "theory", number)
        found = _ends(model, x, y, radius, settings, generator) | _codes(model, x, radius, settings, generator)
        for name, values in found.items():
            sums[name] = sums.get(name, 0.0) + float(values.double().sum())
        on_done(len(x))
    return {name: value / len(images) for name, value in sums.items()}


def _ends(
    model: DefendedModel, x: Tensor, y: Tensor, radius: float, settings: Settings, generator: Generator
) -> dict[str, Tensor]:
    """The side of the classifier, per image."""
    whole = torch.nn.Sequential(model.purifier, model.backbone)
    attack = InnerAttack(eps=radius, steps=settings.steps)

    def judged(points: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            logits = whole(points)
        return functional.cross_entropy(logits, y, reduction="none"), (logits.argmax(1) == y)

    clean, right = judged(x)
    worst, standing = clean, right
    for _ in range(settings.restarts):
        loss, still = judged(attacked(whole, x, y, attack, generator))
        worst, standing = torch.maximum(worst, loss), standing & still
    return {
        "clean_ce": clean,
        "adversarial_ce": worst,
        "standard_accuracy": right,
        "robust_accuracy": standing,
    }


def _codes(
    model: DefendedModel, x: Tensor, radius: float, settings: Settings, generator: Generator
) -> dict[str, Tensor]:
    """The side of the encoder, per image."""
    encode: Encode = model.purifier.encode  # type: ignore[assignment]

    def loss(points: Tensor) -> Tensor:
        with torch.no_grad():
            return contrastive_loss(encode(points), clean, tau=settings.tau, form=settings.contrastive)

    with torch.no_grad():
        clean = encode(x)
    without = loss(x)
    worst = without
    for _ in range(settings.restarts):
        points = hardest(encode, x, eps=radius, steps=settings.steps, step_size=None, generator=generator)
        worst = torch.maximum(worst, loss(points))
    return {"clean_contrastive": without, "attacked_contrastive": worst}
