"""Some samples of a cell, attacked and judged: the unit of work, which needs no run folder."""

import time
from collections.abc import Callable

import numpy as np

from rbench.engine.answers import refuse_other_answers
from rbench.engine.evaluation import Evaluated, evaluate_batch
from rbench.engine.settled import Settled
from rbench.engine.setup import watched
from rbench.engine.two_faces import refuse_other_sizes
from rbench.running.prepare import Prepared


def run_span(
    prepared: Prepared,
    ids: np.ndarray,
    on_done: Callable[[int], None] = lambda count: None,
    settled: Settled | None = None,
) -> Evaluated:
    """Attacks and judges some samples; what comes back holds arrays and counts alone.

    Args:
        prepared: the cell.
        ids: int64 [B] any of its samples.
        on_done: called with the number of samples that are done.
        settled: of any samples, what fools them already.

    Returns:
        A row a sample, and what they cost, by name.

    Raises:
        CellFailed: an image, a logit or a proposal breaks a rule of judging, or the model has changed or answers otherwise than before.
    """
    meter = prepared.setup.model.meter
    spent, clock = meter.totals(), time.monotonic()
    with watched(prepared.setup):  # before the samples are kept: a later run would not attack them, and so not notice
        evaluated = evaluate_batch(prepared.setup, prepared.read(ids), on_done, settled)
    with watched(prepared.setup):
        refuse_other_answers(prepared.setup.model, prepared.setup.first)
        refuse_other_sizes(prepared.setup.model, prepared.setup.first)
    cost = {name: count - spent[name] for name, count in meter.totals().items()}
    return Evaluated(evaluated.arrays, {**evaluated.counts, **cost, "seconds": time.monotonic() - clock})
