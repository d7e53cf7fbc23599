"""From the finished samples of a cell to its outcome, its convergence and its gallery."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from rbench.engine.answers import refuse_other_answers
from rbench.engine.convergence import Convergence, converge
from rbench.engine.evaluation import Arrays, Evaluated, join
from rbench.engine.leaks import Leaks, leaks
from rbench.engine.outcome import Outcome, draw_outcome
from rbench.engine.promises import LEAST, MOST, kept_promise
from rbench.engine.setup import watched
from rbench.results import sample_columns as column
from rbench.results.flags import of_cell
from rbench.results.gallery import Gallery
from rbench.running.gallery import SAMPLES, take_gallery
from rbench.running.prepare import Prepared


@dataclass(frozen=True)
class Finished:
    """The results of a finished cell.

    Attributes:
        whole: all its samples, in ascending order, and what they cost.
        outcome: figures, flags and hashes.
        convergence: what other budgets gave on the first samples; empty unless the cell asks for it.
        gallery: pictures of a few samples.
        facts: what was measured of the purifier on the attacked images, for the record.
    """

    whole: Evaluated
    outcome: Outcome
    convergence: Convergence
    gallery: Gallery
    facts: dict[str, float | None] = field(default_factory=dict)


def conclude(prepared: Prepared, parts: Sequence[Evaluated]) -> Finished:
    """Draws the conclusions from all samples of a cell.

    Args:
        prepared: the cell.
        parts: its samples, each once, in any order.

    Raises:
        ValueError: the parts do not hold each sample of the cell once.
        CellFailed: attacking with other budgets breaks a rule of judging.
    """
    whole = join(parts)
    if not np.array_equal(whole.arrays[column.SAMPLE], prepared.ids):
        raise ValueError(f"{len(whole.arrays['sample'])} samples, not each of the cell's {len(prepared.ids)} once")
    with watched(prepared.setup):
        outcome, convergence = draw_outcome(prepared.setup, whole), Convergence()
        if prepared.convergence:
            few = prepared.read(prepared.ids[: prepared.convergence])
            convergence = converge(prepared.setup, prepared.loaded.remake, few)
            refuse_other_answers(prepared.setup.model, prepared.setup.first)
        facts = facts_of_attacked(prepared, whole.arrays)
        gallery = _gallery(prepared, whole)
    facts["ties"] = whole.counts.get("ties", 0)
    outcome = replace(outcome, flags=(*outcome.flags, *of_cell.leaks(facts["leaks"])))
    return Finished(whole, outcome, convergence, gallery, facts)


def facts_of_attacked(prepared: Prepared, arrays: Arrays) -> dict[str, float | None]:
    """What is measured of a defended model on the attacked images of a whole cell.

    Args:
        prepared: the cell.
        arrays: its attacked images, and the predicted classes on select draws, by column; a row a sample, in the order of the cell.

    Returns:
        `leaks`, see `engine.leaks`, and `kept_promise`, see `engine.promises`; None where it cannot be measured.

    Raises:
        CellFailed: the purifier returned no images of this shape.
    """
    return {"leaks": _leaks(prepared, arrays).share, "kept_promise": _promise(prepared, arrays)}


def _leaks(prepared: Prepared, arrays: Arrays) -> Leaks:
    found, size = Leaks(), prepared.setup.judge.batch_size
    for start in range(0, len(prepared.ids), size):
        clean = prepared.read(prepared.ids[start : start + size])
        images = torch.from_numpy(arrays[column.IMAGES][start : start + size]).to(clean.device)
        found += leaks(prepared.setup, images, clean)
    return found


def _promise(prepared: Prepared, arrays: Arrays) -> float | None:
    """What the exact gradient promises at attacked images that survive, and keeps; None where it is known to be of no use."""
    setup = prepared.setup
    if not (setup.audit.reproducible and setup.audit.differentiable):
        return None
    labels = prepared.loaded.dataset.labels[prepared.ids]
    right = (arrays[column.SELECT_PREDICTIONS] == labels[:, None]).mean(1)
    rows = np.nonzero(right >= 0.5)[0][:MOST]
    if len(rows) < LEAST:
        return None  # pictures of a data set cannot be read where there are none
    clean = prepared.read(prepared.ids[rows])
    images = torch.from_numpy(arrays[column.IMAGES][rows]).to(clean.device)
    return kept_promise(setup.model, images, clean, setup.noise)


def _gallery(prepared: Prepared, whole: Evaluated) -> Gallery:
    first = prepared.read(prepared.ids[:SAMPLES])
    adversarial = torch.from_numpy(whole.arrays[column.IMAGES][: len(first)]).to(first.device)
    return take_gallery(prepared.setup.model, first, adversarial, prepared.setup.noise)
