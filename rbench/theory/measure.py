"""The two sides of the theorem, measured on images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from rbench.attacks.pgd import pgd
from rbench.engine.defended import DefendedModel
from rbench.engine.oracle import Oracle
from rbench.errors import CellFailed
from rbench.objectives.adversarial_contrastive import contrastive_loss
from rbench.theory.points import Settings
from rbench.threat.attack import IterativeAttack
from rbench.threat.displacements import angle
from rbench.threat.noise import Noise
from rbench.threat.query import Answer, Threat

Ask = Callable[[Tensor], Answer]

_SAME = 1e-4
"""Codes that differ by more, relative to their largest entry, are random; kernels alone stay far below."""


class Batch(NamedTuple):
    """Images that are each other's negatives."""

    x: Tensor  # [B, C, H, W] clean images
    y: Tensor  # [B] true labels
    ids: Tensor  # [B] sample ids


@dataclass(frozen=True)
class Measured:
    """Means over the images; fields as in `Point`."""

    clean_ce: float
    adversarial_ce: float
    clean_contrastive: float
    attacked_contrastive: float
    standard_accuracy: float
    robust_accuracy: float


def measure(
    model: DefendedModel,
    images: Tensor,
    labels: Tensor,
    ids: Tensor,
    radius: float,
    settings: Settings,
    on_done: Callable[[int], None] = lambda count: None,
) -> Measured:
    """Cross-entropies, contrastive losses and accuracies, clean and attacked; means over the images.

    Both attacks are PGD as `rbench run` has it (Madry et al. 2018, arXiv 1706.06083), one on the cross-entropy along the exact path, one
    on the angle of the code, and never stop early: a fooled image still has a cross-entropy to raise. The worst of all points seen counts,
    the clean one among them.

    Args:
        model: a deterministic purifier with `encode`, and a backbone.
        images: [N, C, H, W] in [0, 1], at least two.
        labels: [N] int64.
        ids: [N] int64 sample ids, which key the starts.
        radius: Linf, on the [0, 1] pixel scale.
        settings: how hard to look.
        on_done: told how many more images are done.

    Raises:
        CellFailed: the purifier is random, or something is not finite.
    """
    parts = settings.batches(len(images))
    split = (torch.tensor_split(whole, parts) for whole in (images, labels, ids))
    sums: dict[str, float] = {}
    for batch in map(Batch, *split):
        found = _ends(model, batch, radius, settings) | _codes(model, batch, radius, settings)
        for name, values in found.items():
            sums[name] = sums.get(name, 0.0) + float(values.double().sum())
        on_done(len(batch.x))
    return Measured(**{name: value / len(images) for name, value in sums.items()})


def climb(attack: IterativeAttack, ask: Ask, batch: Batch, radius: float, noise: Noise) -> Iterator[Answer]:
    """What an attack is told at every point it comes to, from every start; `steps` + 1 answers for each.

    Args:
        attack: ours, under Linf.
        ask: images to logits, loss and gradient.
        batch: what is attacked.
        radius: Linf, on the [0, 1] pixel scale.
        noise: of the starts.
    """
    x, y, ids = batch
    eps = torch.full((len(x),), radius, dtype=torch.float64, device=x.device)
    for restart in range(attack.restarts):
        state = attack.init(x, y, Threat("Linf", eps), noise.of("attack", ids, x.device, draw=restart))
        for _ in range(attack.steps):
            answer = ask(state.x)
            yield answer
            state = attack.update(state, answer)
        yield ask(state.x)


def _ends(model: DefendedModel, batch: Batch, radius: float, settings: Settings) -> dict[str, Tensor]:
    """The side of the classifier, per image."""
    x, y, ids = batch
    noise = Noise(settings.seed)
    oracle = Oracle(model, "exact", eot=1, noise=noise)
    calls = torch.zeros_like(ids)
    clean = oracle.logits(x, y, ids, calls, "ce")
    right = clean.logits.argmax(1) == y
    worst, standing = clean.loss, right
    attack = pgd(steps=settings.steps, restarts=settings.restarts)
    for answer in climb(attack, lambda at: oracle.gradient(at, y, ids, calls, "ce"), batch, radius, noise):
        worst = torch.maximum(worst, answer.loss)
        standing = standing & (answer.logits.argmax(1) == y)
    return {
        "clean_ce": clean.loss,
        "adversarial_ce": worst,
        "standard_accuracy": right,
        "robust_accuracy": standing,
    }


def _codes(model: DefendedModel, batch: Batch, radius: float, settings: Settings) -> dict[str, Tensor]:
    """The side of the encoder, per image."""
    x = batch.x
    noise = Noise(settings.seed)
    draws = partial(noise.of, "defence", batch.ids, x.device)
    with torch.no_grad():
        clean, again = (model.encode(x, draws(draw=draw)) for draw in (0, 1))
    _refuse_non_finite(clean, batch.ids)
    if not torch.allclose(clean, again, rtol=0, atol=_SAME * float(clean.abs().max())):
        raise CellFailed(f"purifier '{model.name}' is random; the theory is about one code of an image")

    def ask(points: Tensor) -> Answer:
        with torch.enable_grad():
            at = points.detach().requires_grad_()
            code = model.encode(at, draws())
            # In both forms L_con falls with the cosine and depends on the attacked code through nothing else; its own gradient vanishes at
            # a small tau.
            turned = angle(code, clean)
            (gradient,) = torch.autograd.grad(turned.sum(), at)
        _refuse_non_finite(code.detach(), batch.ids)
        loss = contrastive_loss(code.detach(), clean, tau=settings.tau, form=settings.contrastive)
        return Answer(code.detach(), loss, gradient)

    without = contrastive_loss(clean, clean, tau=settings.tau, form=settings.contrastive)
    worst = without
    for answer in climb(pgd(steps=settings.steps, restarts=settings.restarts), ask, batch, radius, noise):
        worst = torch.maximum(worst, answer.loss)
    return {"clean_contrastive": without, "attacked_contrastive": worst}


def _refuse_non_finite(codes: Tensor, ids: Tensor) -> None:
    broken = ~torch.isfinite(codes).all(1)
    if broken.any():
        samples = ids[broken].tolist()
        raise CellFailed(f"sample {samples[0]}: its code is NaN or infinite", samples)
