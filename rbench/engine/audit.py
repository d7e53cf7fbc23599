"""The audit before any attack: properties of the defended model as measured on a few samples, whatever the purifier declares."""

import pickle
import random
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from rbench.engine.answers import DIFFERS, FirstAnswers, differ, refuse_stateful
from rbench.engine.audited_images import SAMPLES, Audited, Questions, audited_images
from rbench.engine.batch_gradients import BatchGradients, batch_gradients
from rbench.engine.defended import DefendedModel, moves_global_generators, state_hash
from rbench.engine.outputs import not_logits
from rbench.engine.parts import Parts
from rbench.engine.two_faces import refuse_other_ways
from rbench.errors import CellFailed, InputError
from rbench.results.flags.catalogue import threshold
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

REPEATS = 5
"""Evaluations of the same images, each with fresh noise."""
NO_GRADIENT = threshold("weak-gradient", "zero")
"""Share of samples with a useless exact gradient from which on that gradient counts as useless to an attacker."""

_GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
_TORCH_OWN = frozenset(vars(nn.Module()))


@dataclass(frozen=True)
class Audit:
    """What was measured of a defended model on images under uniform noise in the ball and on clean ones, each from the worse of the two.

    Attributes:
        classes: width of the logits.
        declared_random: the purifier says it is stochastic.
        random: repeated evaluations with fresh noise differ.
        repeat_difference: largest difference of logits over 5 repeats.
        reproducible: the same noise gives the same logits.
        global_generator: the purifier draws from a global generator (torch, NumPy or Python).
        batch_difference: largest difference of logits between orders and splits of the batch, relative to the largest logit.
        changes: the purifier changes images at all.
        out_of_range: largest distance of a purified pixel from [0, 1].
        not_logits: what the outputs are instead, such as `probabilities`; None if they are logits.
        reaches_input: the graph of the exact path reaches the input.
        zero_gradient_share: share of samples whose exact gradient is zero.
        non_finite_gradient_share: share of samples with a NaN or infinite entry in the exact gradient.
        useless_gradient_share: share of samples with either.
        batch_gradient_error: difference of an image's gradients in a small and in a large batch, relative to the longer, for the median
            image; None where attacks show no more images together than the small batch has, or batches of other shapes meet other draws.
    """

    classes: int
    declared_random: bool
    random: bool
    repeat_difference: float
    reproducible: bool
    global_generator: bool
    batch_difference: float
    changes: bool
    out_of_range: float
    not_logits: str | None
    reaches_input: bool
    zero_gradient_share: float
    non_finite_gradient_share: float
    useless_gradient_share: float
    batch_gradient_error: float | None

    @property
    def batch_dependent(self) -> bool:
        """Whether a sample's logits depend on who else is in the batch."""
        return self.batch_difference > DIFFERS

    @property
    def differentiable(self) -> bool:
        """Whether the exact gradient is of use to an attacker: it reaches the input, and is useless on fewer samples than `NO_GRADIENT`."""
        return self.reaches_input and self.useless_gradient_share < NO_GRADIENT


def audit(
    model: DefendedModel, sample: Batch, noise: Noise, ball: Ball, size: int = SAMPLES, parts: Parts | None = None
) -> tuple[Audit, FirstAnswers]:
    """Measures a defended model in batches of up to 16 images and of `size`; the passes are not counted as the attack's.

    Args:
        model: the defended model.
        sample: the first samples of the cell, at least one; `size` of them where there are so many.
        noise: the root of the cell's randomness.
        ball: with one radius.
        size: images that attacks or the judge show together at most.
        parts: what was measured of this model before, for other radii and sizes, and is not measured again.

    Returns:
        What was found, and the first answers, to ask for again at the end.

    Raises:
        CellFailed: the purifier writes to its input or remembers earlier calls, or logits are not finite.
        InputError: a label is no class.
    """
    spent = replace(model.meter)
    sets = audited_images(sample, noise, ball, size)
    few, asked = [audited.few for audited in sets], (parts or Parts()).asking(model, noise)
    first, reproducible = asked.once("first answers", few, lambda ask: _first_answers(model, ask, sets))
    classes = first[0].shape[1]
    refuse_labels(sample, classes)
    answered = list(zip(sets, first, strict=True))
    spread = max(asked.once("spread", [s.few], partial(_spread, audited=s, first=logits)) for s, logits in answered)
    whole = [asked.once("whole", [s.whole], partial(_whole, audited=s, few=logits)) for s, logits in answered]
    for audited, logits in zip(sets, whole, strict=True):
        more, apart = asked.once("again", [audited.whole], partial(_again, audited=audited, whole=logits))
        spread, reproducible = max(spread, more), reproducible and apart <= DIFFERS
    drawn = noise.of("audit", sample.ids, sample.device)
    moved = asked.once("generators", [sample], lambda _: moves_global_generators(model, sample.x, drawn))
    is_random = spread > DIFFERS or not reproducible
    other_draws, dependence = moved and is_random, 0.0
    if reproducible:
        compared = _companions if other_draws else _orders_and_splits
        dependence = max(
            asked.once(
                compared.__name__, [audited.whole], partial(compared, shown=audited.whole, few=small, reference=large)
            )
            for audited, small, large in zip(sets, first, whole, strict=True)
        )
    gradients = [asked.once("gradients", [s.whole], partial(_gradients, audited=s)) for s in sets]
    if reproducible:
        asked.once("memory", few, lambda ask: _refuse_memory(model, ask, sets, first))
        asked.once("ways", few[:1], lambda ask: refuse_other_ways(model, ask, sets[0], first[0]))
    errors = [found.error for found in gradients if found.error is not None]
    found = Audit(
        classes=classes,
        declared_random=bool(getattr(model.purifier, "stochastic", False)),
        random=is_random,
        repeat_difference=spread,
        reproducible=reproducible,
        global_generator=moved,
        batch_difference=dependence,
        changes=asked.changes,
        out_of_range=asked.beyond,
        not_logits=not_logits(model, sets[1].few.x, torch.cat([*first, *whole])),
        reaches_input=all(found.reaches for found in gradients),
        zero_gradient_share=max(found.zero for found in gradients),
        non_finite_gradient_share=max(found.broken for found in gradients),
        useless_gradient_share=max(found.useless for found in gradients),
        batch_gradient_error=None if other_draws or not reproducible else max(errors, default=None),
    )
    vars(model.meter).update(vars(spent))
    alike = reproducible and not other_draws and not found.batch_dependent
    # Only what is asked about again is kept: at the end of a span the few, and of the moved images any number.
    again = sets[0] if alike else sets[0].shortened(), sets[1].shortened()
    return found, FirstAnswers(*again, first, noise, reproducible, whole[0] if alike else None, asked.sizes)


def refuse_labels(batch: Batch, classes: int) -> None:
    """Raises InputError if a label is none of the classes of the logits."""
    wrong = torch.nonzero(batch.y >= classes)[:, 0]
    if len(wrong):
        sample, label = int(batch.ids[wrong[0]]), int(batch.y[wrong[0]])
        raise InputError(
            f"label {label}, but the backbone has {classes} classes",
            place=f"labels: sample {sample}",
            found=f"label {label}",
            remedy=f"labels go from 0 to {classes - 1}",
        )


def _first_answers(
    model: DefendedModel, asked: Questions, sets: tuple[Audited, Audited]
) -> tuple[tuple[Tensor, Tensor], bool]:
    """Logits of the few of each set, and whether they come out the same when asked again at once.

    The moved images are asked about first, and again after the clean ones: whoever remembers clean images answers otherwise then.
    """
    first = asked.logits(sets[0].few, what=sets[0].what)
    memory = remembered(model)
    answers = [first, asked.logits(sets[0].few)]
    answers += [asked.logits(sets[1].few, what=sets[1].what), asked.logits(sets[1].few)]
    noisy, noisy_again, clean, clean_again = answers
    if max(differ(noisy, noisy_again), differ(clean, clean_again)) > DIFFERS:
        asked.logits(_negative(sets[1].few))
        if remembered(model) != memory:
            refuse_stateful(model, sets[1].few)
        return (noisy, clean), False
    if max(differ(noisy, asked.logits(sets[0].few)), differ(clean, asked.logits(sets[1].few))) > DIFFERS:
        refuse_stateful(model, sets[1].few)
    return (noisy, clean), True


def _spread(asked: Questions, audited: Audited, first: Tensor) -> float:
    """Largest difference of logits over evaluations under different draws."""
    repeats = [first, *(asked.logits(audited.few, draw=draw, what=audited.what) for draw in range(1, REPEATS))]
    return max(differ(a, b) for a in repeats for b in repeats)


def _whole(asked: Questions, audited: Audited, few: Tensor) -> Tensor:
    """Logits of as many images as are shown together; where they are the few, these were asked about already."""
    return asked.logits(audited.whole, what=audited.what) if audited.larger else few


def _again(asked: Questions, audited: Audited, whole: Tensor) -> tuple[float, float]:
    """What the logits of as many images as are shown together differ by under another draw, and under the same one."""
    if not audited.larger:  # the few have been asked about like that
        return 0.0, 0.0
    another = differ(whole, asked.logits(audited.whole, draw=1, what=audited.what))
    return another, differ(whole, asked.logits(audited.whole, what=audited.what))


def _gradients(asked: Questions, audited: Audited) -> BatchGradients:
    return batch_gradients(asked.model, audited, asked.noise)


def _negative(shown: Batch) -> Batch:
    return shown.of(1 - shown.x)


def _refuse_memory(
    model: DefendedModel, asked: Questions, sets: tuple[Audited, Audited], first: tuple[Tensor, Tensor]
) -> None:
    """Refuses a model whose logits of the same images and noise change after it was shown other images."""
    state = state_hash(model)
    for draw in range(3):
        asked.logits(_negative(sets[1].few), draw=draw)
        for audited, logits in zip(sets, first, strict=True):
            if differ(logits, asked.logits(audited.few)) > DIFFERS:
                refuse_stateful(model, sets[1].few)
    if state_hash(model) != state:
        problem = f"{model.owner} changes its parameters or buffers when called in eval mode"
        raise CellFailed(problem, component=model.owner)


def remembered(model: DefendedModel) -> bytes:
    """The state of the modules as bytes, to compare: parameters, buffers, and attributes that can be pickled; no random generators."""
    kept = [state_hash(model).encode()]
    for name, module in model.named_modules():
        for key, attribute in sorted(vars(module).items()):
            if (key.startswith("_") and key in _TORCH_OWN) or isinstance(attribute, _GENERATORS) or module is model:
                continue
            try:
                kept.append(f"{name}.{key}".encode() + pickle.dumps(attribute))
            except Exception:
                continue
    return b"".join(kept)


def _orders_and_splits(asked: Questions, shown: Batch, few: Tensor, reference: Tensor) -> float:
    """Largest difference of logits when the batch is reversed, halved, cut into small ones or repeats images, relative to the largest.

    The first of the small ones is that of the few, whose logits are known.
    """
    if len(shown) < 2:
        return 0.0
    order = torch.arange(len(shown) - 1, -1, -1, device=shown.device)
    answers = [asked.logits(shown.at(order))[order]]
    half = (len(shown) + 1) // 2
    for size in {half, min(half, SAMPLES)}:
        known = [few] if len(few) == size else []
        starts = range(size * len(known), len(shown), size)
        answers.append(torch.cat([*known, *(asked.logits(shown.at(slice(start, start + size))) for start in starts)]))
    worst = max(differ(reference, answer) for answer in answers)
    # The judge shows few images several times at once, for their draws, and a last one alone.
    repeated = torch.arange(min(SAMPLES, 2 * len(shown)), device=shown.device) % min(4, len(shown))
    for rows in (repeated, order[-1:]):
        worst = max(worst, differ(reference[rows], asked.logits(shown.at(rows))))
    return worst / _scale(reference)


def _companions(asked: Questions, shown: Batch, few: Tensor, reference: Tensor) -> float:  # noqa: ARG001
    """Largest difference of logits when half of the batch is replaced by other images, relative to the largest logit.

    For a random purifier that draws from a global generator: a batch of another shape or order meets another draw, and would differ whether
    or not the purifier looks at the rest of the batch. Shape and first sample, and so the draw, are kept here.
    """
    half, other = len(shown) // 2, 1 - shown.x
    if not half:
        return 0.0
    front = asked.logits(shown.of(torch.cat([shown.x[:half], other[half:]])))[:half]
    back = asked.logits(shown.of(torch.cat([other[:half], shown.x[half:]])))[half:]
    return differ(reference, torch.cat([front, back])) / _scale(reference)


def _scale(logits: Tensor) -> float:
    return max(1.0, float(logits.abs().max()))
