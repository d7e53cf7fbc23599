"""The first answers of a defended model, and the same questions at the end of a cell: another answer then means that it keeps state."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NoReturn

import torch
from torch import Tensor

from rbench.engine.audited_images import Audited, Questions
from rbench.engine.defended import DefendedModel
from rbench.errors import CellFailed
from rbench.purifiers.identity import Identity
from rbench.results.flags.catalogue import threshold
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

DIFFERS = threshold("keeps-state", "difference")
"""Largest absolute difference of two logits that still counts as none."""


@dataclass(frozen=True)
class FirstAnswers:
    """What a defended model said when it was first asked.

    Attributes:
        noisy: the moved images, which are asked about first.
        clean: the clean images.
        logits: [B, classes] of the few of each set, in this order.
        noise: the root of the cell's randomness.
        reproducible: the same noise gives the same logits; without that, another answer says nothing.
        whole: [N, classes] logits of the whole moved set; None where batches of other sizes are known to get others.
        sizes: of batches that the audit has tried.
    """

    noisy: Audited
    clean: Audited
    logits: tuple[Tensor, Tensor]
    noise: Noise
    reproducible: bool
    whole: Tensor | None = None
    sizes: frozenset[int] = frozenset()


def refuse_other_answers(model: DefendedModel, first: FirstAnswers) -> None:
    """Asks the first questions again: moved images before and after the clean ones, in the batches and under the noise of the first time.

    The passes are not counted as the attack's.

    Raises:
        CellFailed: an answer differs from the first one.
    """
    if not first.reproducible:
        return
    spent = replace(model.meter)
    questions, (noisy, clean) = Questions(model, first.noise), first.logits
    for audited, logits in ((first.noisy, noisy), (first.clean, clean), (first.noisy, noisy)):
        if differ(logits, questions.logits(audited.few)) > DIFFERS:
            refuse_stateful(model, first.clean.few)
    vars(model.meter).update(vars(spent))


def refuse_stateful(model: DefendedModel, few: Batch) -> NoReturn:
    """Raises CellFailed for a model that gave another answer to the same question.

    Args:
        model: the defended model.
        few: images that the backbone is asked about alone, to tell whose memory it is.
    """
    owner = model.classifier if _backbone_remembers(model, few) else f"purifier '{model.name}'"
    raise CellFailed(
        f"{owner} keeps state between calls (keeps-state): the same image and noise gave another answer after it was called again",
        component=owner,
    )


def _backbone_remembers(model: DefendedModel, few: Batch) -> bool:
    if type(model.purifier) is Identity:
        return True
    with torch.no_grad(), suppress(Exception):
        first, *later = (model.classify(images) for images in (few.x, few.x, 1 - few.x, few.x))
        return max(differ(first, later[0]), differ(first, later[2])) > DIFFERS
    return False


def differ(a: Tensor, b: Tensor) -> float:
    """Largest absolute difference; infinite where one is NaN."""
    difference = float((a - b).abs().max())
    return torch.inf if difference != difference else difference
