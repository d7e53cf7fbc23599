"""Whether a defended model answers attackers as it answers the judge: the same points and noise, asked in the ways of both."""

from dataclasses import replace

import torch
from torch import Tensor

from rbench.engine.answers import DIFFERS, FirstAnswers, differ
from rbench.engine.audited_images import SAMPLES, Audited, Questions
from rbench.engine.defended import DefendedModel
from rbench.engine.judge import Judge
from rbench.engine.oracle import Oracle, refuse_non_finite
from rbench.errors import CellFailed
from rbench.threat.batch import Batch

SIZES = 8
"""Batch sizes of an attack that are tried again at the end; drawn at random where there are more."""
_DRAW = 2000
"""Number of the draw, of the role `audit`, that chooses them."""
WAYS = {
    "with gradients": (True, True),
    "where gradients are on and the image has none": (True, False),
    "where gradients are off and the image has one": (False, True),
}
"""(grad mode, images require gradients); the judge and the audit ask with neither."""


def refuse_other_ways(model: DefendedModel, asked: Questions, shown: Audited, logits: Tensor) -> None:
    """Asks about the few images of a set as attacks do: with gradients on, or of images that require them.

    Args:
        model: the defended model.
        asked: asks about it.
        shown: the images.
        logits: [B, classes] what was answered without gradients, in the same batch under the same noise.

    Raises:
        CellFailed: an answer is another one.
    """
    few = shown.few
    for words, (mode, requires) in WAYS.items():
        point = few.of(few.x.detach().clone().requires_grad_(requires))
        with torch.set_grad_enabled(mode):
            answer = model(point.x, asked.noise.of("audit", few.ids, few.device)).detach()
        if not same(logits, answer):
            refuse(model, words)


def refuse_other_sizes(model: DefendedModel, first: FirstAnswers) -> None:
    """Asks about the moved images in batches of sizes that the attack had, which may be any after some samples have left.

    Nothing is asked of a model whose dependence on the batch is known already, or whose draws depend on the shape of it.

    Raises:
        CellFailed: an image gets another answer than in the whole batch.
    """
    if first.whole is None:
        return
    shown, spent = first.noisy.whole, replace(model.meter)
    sizes = sorted(size for size in model.known.sizes - first.sizes if size < len(shown))
    one = shown.at(slice(1))
    drawn = first.noise.of("audit", one.ids, one.device, draw=_DRAW).uniform(len(sizes))[0]
    for place in drawn.argsort()[:SIZES].tolist():
        size = sizes[place]
        answer = Questions(model, first.noise).logits(shown.at(slice(size)))
        if not same(first.whole[:size], answer):
            refuse(model, f"in a batch of {size}")
    vars(model.meter).update(vars(spent))


def refuse_two_faced(judge: Judge, clean: Batch, points: Tensor, right: Tensor, *, reproducible: bool) -> None:
    """Asks about attacked images as an attack does and as the judge does, by their own code, under the same noise.

    Args:
        judge: of the cell.
        clean: N samples.
        points: [N, C, H, W] what was proposed for them.
        right: [N] share of right draws; those that survive are asked about first.
        reproducible: the same noise gives the same logits; without that, another answer says nothing.

    Raises:
        CellFailed: an answer is another one.
    """
    if not reproducible:
        return
    model, spent = judge.model, replace(judge.model.meter)
    rows = right.argsort(descending=True, stable=True)[: min(SAMPLES, judge.batch_size)]
    few, x = clean.at(rows), points[rows]
    calls = torch.zeros_like(few.ids)
    judged = judge.logits(x, few, "defence", calls[:1])[:, 0]
    attacked = Oracle(model, "exact", eot=1, noise=judge.noise).gradient(few.of(x), calls, "ce").logits
    refuse_non_finite(attacked, few.ids)
    if not same(judged, attacked):
        refuse(model, "to an attack")
    vars(model.meter).update(vars(spent))


def same(a: Tensor, b: Tensor) -> bool:
    """Whether logits are the same but for rounding."""
    return differ(a, b) <= DIFFERS * max(1.0, float(a.abs().max()))


def refuse(model: DefendedModel, words: str) -> None:
    """Raises CellFailed for a model that gives another answer in one of the ways to ask."""
    raise CellFailed(
        f"{model.owner} answers otherwise {words}: the same image and noise must get the same logits, whoever "
        "asks. What BPDA differentiates in place of a purifier is its `surrogate`",
        component=model.owner,
    )
