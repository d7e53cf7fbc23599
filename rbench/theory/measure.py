"""The two sides of the theorem, measured on images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from rbench.attacks.pgd import pgd
from rbench.engine.defended import DefendedModel
from rbench.engine.oracle import Oracle, refuse_non_finite
from rbench.errors import CellFailed
from rbench.objectives.adversarial_contrastive import contrastive_loss
from rbench.theory.points import Settings
from rbench.threat.attack import IterativeAttack
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.displacements import angle
from rbench.threat.noise import Noise
from rbench.threat.query import Answer

Ask = Callable[[Tensor], Answer]

_SAME = 1e-4
"""Two codes of an image that differ by more than this share of their largest entry are random; rounding stays far below."""


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
    samples: Batch,
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
        samples: at least two; their ids key the starts.
        radius: Linf, on the [0, 1] pixel scale.
        settings: steps, restarts, form of L_con and batches.
        on_done: called with the number of images that have just been done.

    Raises:
        CellFailed: the purifier is random, or something is not finite.
    """
    rows = torch.arange(len(samples), device=samples.device)
    sums: dict[str, float] = {}
    for batch in map(samples.at, torch.tensor_split(rows, settings.batches(len(samples)))):
        per_image = _ends(model, batch, radius, settings) | _codes(model, batch, radius, settings)
        for name, values in per_image.items():
            sums[name] = sums.get(name, 0.0) + float(values.double().sum())
        on_done(len(batch))
    return Measured(**{name: value / len(samples) for name, value in sums.items()})


def answers(attack: IterativeAttack, ask: Ask, batch: Batch, radius: float, noise: Noise) -> Iterator[Answer]:
    """The answers that an attack gets at all its points, `steps` + 1 from every start.

    Args:
        attack: ours, under Linf.
        ask: images to logits, loss and gradient.
        batch: what is attacked.
        radius: Linf, on the [0, 1] pixel scale.
        noise: of the starts.
    """
    ball = Ball("Linf", radius).of(batch.x)
    for restart in range(attack.restarts):
        state = attack.init(batch.x, batch.y, ball, noise.of("attack", batch.ids, batch.device, draw=restart))
        for _ in range(attack.steps):
            answer = ask(state.x)
            yield answer
            state = attack.update(state, answer)
        yield ask(state.x)


def _ends(model: DefendedModel, batch: Batch, radius: float, settings: Settings) -> dict[str, Tensor]:
    """The side of the classifier, per image."""
    noise = Noise(settings.seed)
    oracle = Oracle(model, "exact", eot=1, noise=noise)
    calls = torch.zeros_like(batch.ids)
    clean = oracle.logits(batch, calls, "ce")
    refuse_non_finite(clean.logits, batch.ids)
    right = clean.logits.argmax(1) == batch.y
    worst, surviving = clean.loss, right
    attack = pgd(steps=settings.steps, restarts=settings.restarts)
    for answer in answers(attack, lambda at: oracle.gradient(batch.of(at), calls, "ce"), batch, radius, noise):
        refuse_non_finite(answer.logits, batch.ids)
        worst = torch.maximum(worst, answer.loss)
        surviving = surviving & (answer.logits.argmax(1) == batch.y)
    return {
        "clean_ce": clean.loss,
        "adversarial_ce": worst,
        "standard_accuracy": right,
        "robust_accuracy": surviving,
    }


def _codes(model: DefendedModel, batch: Batch, radius: float, settings: Settings) -> dict[str, Tensor]:
    """The side of the encoder, per image."""
    x = batch.x
    noise = Noise(settings.seed)
    draws = partial(noise.of, "defence", batch.ids, batch.device)
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
    for answer in answers(pgd(steps=settings.steps, restarts=settings.restarts), ask, batch, radius, noise):
        worst = torch.maximum(worst, answer.loss)
    return {"clean_contrastive": without, "attacked_contrastive": worst}


def _refuse_non_finite(codes: Tensor, ids: Tensor) -> None:
    broken = ~torch.isfinite(codes).all(1)
    if broken.any():
        samples = ids[broken].tolist()
        raise CellFailed(f"sample {samples[0]}: its code is NaN or infinite", samples)
