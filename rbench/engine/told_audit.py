"""An audit under one radius as it is kept for other runs and processes."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from rbench.engine.answers import FirstAnswers
from rbench.engine.audit import Audit
from rbench.engine.audited_images import SAMPLES, Questions, audited_images
from rbench.engine.defended import DefendedModel
from rbench.engine.told import Array, Document, Kept, keep, read
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise


class UnderRadius(NamedTuple):
    """What was measured of a defended model under one radius.

    Attributes:
        audit: its properties.
        loss_change: how its margin changes in the ball; None where it cannot be said.
        first: its first answers.
    """

    audit: Audit
    loss_change: float | None
    first: FirstAnswers


@dataclass(frozen=True)
class _Written:
    """What is kept of it. The images are not: they are drawn again, and the model is asked about the few of them."""

    audit: Audit
    loss_change: float | None
    whole: Array | None
    sizes: tuple[int, ...]


def read_audit(
    kept: Kept, key: Document, model: DefendedModel, sample: Batch, noise: Noise, ball: Ball, size: int
) -> UnderRadius | None:
    """An audit that was made before; None where there is none, or the model gives other first answers now.

    The passes are not counted as the attack's.

    Args:
        kept: where it is.
        key: all that it depends on.
        model: the defended model.
        sample: the samples that it was made on.
        noise: the root of the cell's randomness.
        ball: with one radius.
        size: see `audit`.

    Raises:
        CellFailed: the defended model cannot be judged.
    """
    document = kept.get(key)
    if document is None:
        return None
    noisy, clean = audited_images(sample, noise, ball, size)
    questions, spent, logits = Questions(model, noise), replace(model.meter), list[Tensor]()

    def ask() -> Tensor:
        logits.extend(questions.logits(audited.few, what=audited.what) for audited in (noisy, clean))
        return torch.cat(logits)

    written = read(document, _Written, ask)
    vars(model.meter).update(vars(spent))
    if written is None or not written.audit.reproducible or written.audit.classes != logits[0].shape[1]:
        return None
    whole = None if written.whole is None else written.whole.tensor(sample.device)
    if whole is not None and whole.shape != (len(noisy.whole), written.audit.classes):
        return None
    noisy = noisy if whole is not None else noisy.shortened()
    first = FirstAnswers(noisy, clean.shortened(), (logits[0], logits[1]), noise, True, whole, frozenset(written.sizes))
    return UnderRadius(written.audit, written.loss_change, first)


def keep_audit(kept: Kept, key: Document, found: UnderRadius, size: int) -> None:
    """Keeps an audit, unless the model gives other answers under the same noise, or memory was short for the gradients of large batches.

    Args:
        kept: where to.
        key: all that it depends on.
        found: the audit.
        size: see `audit`.
    """
    seen, first = found.audit, found.first
    explained = size <= SAMPLES or not seen.reaches_input or (seen.global_generator and seen.random)
    if not seen.reproducible or (seen.batch_gradient_error is None and not explained):
        return
    whole = None if first.whole is None else Array.of(first.whole)
    written = _Written(seen, found.loss_change, whole, tuple(sorted(first.sizes)))
    keep(kept, key, written, torch.cat(first.logits))
