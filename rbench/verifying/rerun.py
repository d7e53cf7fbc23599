"""Running a whole cell again with another seed, order and batch size: its accuracy, its counters and its flags."""

import time
from collections.abc import Iterator
from math import sqrt

import numpy as np
import pyarrow as pa

from rbench.engine.evaluation import Evaluated, join
from rbench.engine.outcome import draw_outcome
from rbench.engine.settled import Settled
from rbench.results import sample_columns as column
from rbench.results.decide import decided
from rbench.results.flags.catalogue import LUCK_CONFIDENCE, FlagName
from rbench.results.record import Record, RungPart
from rbench.results.statistics import paired_bootstrap
from rbench.results.verification import Rerun
from rbench.running.prepare import Prepared
from rbench.running.span import run_span
from rbench.verifying.reattack import other_seed, reseeded

POINT = 0.01
"""Robust accuracy may be a point lower with another seed before a cell is doubted."""
_COUNTERS = (column.QUERIES, column.ZERO_GRADIENTS)
_SHARE = 0.1
"""A counter may differ by so much of the larger one before it is doubted: samples leave at other queries under another seed."""
_SIGMAS = 3.1
"""The two-sided 99.8 % quantile of the normal distribution, as far as luck goes elsewhere."""
_BY_LUCK: set[FlagName] = {"noise-wins", "black-box-wins", "not-converged", "unbounded-survivors", "unverified"}
"""Flags that another seed may raise or not: they compare accuracies, or come from runs that are not made again."""


def run_again(
    prepared: Prepared, record: Record, samples: pa.Table, settled: Settled | None = None
) -> tuple[Rerun, list[str]]:
    """Runs a whole cell with another seed, the samples in reverse order and another batch size.

    Args:
        prepared: the cell.
        record: as it was recorded.
        samples: its samples as stored.
        settled: what the cells before it in a cascade had fooled.

    Returns:
        What was found, and a fault for whatever no luck explains: robust accuracy more than a point lower, other counters, other flags.

    Raises:
        CellFailed: the attack or the model breaks a rule of judging.
    """
    setup = prepared.setup
    clock, seed = time.monotonic(), other_seed(setup)
    size = setup.judge.batch_size // 2 + 1
    again, turned = reseeded(prepared, seed, size), prepared.ids[::-1].copy()
    spans = range(0, len(turned), setup.attack.chunk(size))
    whole = join(
        [run_span(again, turned[start : start + setup.attack.chunk(size)], settled=settled) for start in spans]
    )
    values = decided(whole.arrays[column.ROBUST_PREDICTIONS], whole.arrays[column.LABEL], setup.protocol.decide).astype(
        np.float64
    )
    said = samples[column.ROBUST].to_numpy().astype(np.float64)
    difference = paired_bootstrap(said, values)
    rerun = Rerun(
        seed=seed,
        batch_size=size,
        robust_accuracy=float(values.mean()),
        difference=difference.value,
        low=difference.low,
        high=difference.high,
        seconds=round(time.monotonic() - clock, 3),
    )
    faults = [*_counters(samples, whole.arrays), *_rungs(record, again, whole)]
    if difference.value > POINT and paired_bootstrap(said, values, confidence=LUCK_CONFIDENCE).low > 0:
        found = (
            f"{100 * said.mean():.1f} % recorded, {100 * values.mean():.1f} % with another seed, order and batch size"
        )
        faults.insert(0, f"robust accuracy: {found}")
    return rerun, faults


def _counters(samples: pa.Table, arrays: dict[str, np.ndarray]) -> Iterator[str]:
    for name in _COUNTERS:
        if samples[name].null_count:
            continue
        said, now = (one.astype(np.float64) for one in (samples[name].to_numpy(), arrays[name]))
        apart = paired_bootstrap(said, now, confidence=LUCK_CONFIDENCE)
        surely = apart.low > 0 or apart.high < 0
        if surely and abs(apart.value) > _SHARE * max(said.mean(), now.mean()):
            yield f"{name}: {said.mean():.4g} a sample recorded, {now.mean():.4g} with another seed"


def _rungs(record: Record, again: Prepared, whole: Evaluated) -> Iterator[str]:
    outcome = draw_outcome(again.setup, whole)
    for then, now in zip(record.rungs, outcome.rungs, strict=True):
        yield from _rung(then, now)
    said, found = {flag.name for flag in record.flags}, {flag.name for flag in outcome.flags}
    for name in sorted((said ^ found) - _BY_LUCK):
        words = ("raised", "is not") if name in said else ("not raised", "is")
        yield f"flags: {name} is {words[0]}, with another seed it {words[1]}"


def _rung(then: RungPart, now: RungPart) -> Iterator[str]:
    """Counts of samples differ by luck like those of independent events; passes like the samples that they were spent on."""
    for name in ("attacked", "fooled"):
        before, after = getattr(then, name), getattr(now, name)
        if abs(before - after) > 1 + _SIGMAS * sqrt(before + after):
            yield f"rungs: {then.label}: {before} {name} recorded, {after} with another seed"
    said, found = (one.backwards / max(1, one.attacked) for one in (then, now))
    most = max(said, found)
    if (then.attacked and now.attacked) and abs(said - found) > most * (
        _SHARE + _SIGMAS / sqrt(min(then.attacked, now.attacked))
    ):
        yield f"rungs: {then.label}: {said:.4g} backward passes a sample recorded, {found:.4g} with another seed"
