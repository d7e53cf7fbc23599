"""Raising the flags of a cell again, from what was measured again."""

import numpy as np
import pyarrow as pa

from rbench.engine.evaluation import Evaluated
from rbench.engine.outcome import draw_outcome
from rbench.engine.setup import Setup
from rbench.results import sample_columns as column
from rbench.results.flags.catalogue import FlagName
from rbench.results.record import Record
from rbench.verifying.files import flag_difference

_PROCESS: dict[str, FlagName] = {column.ZERO_GRADIENTS: "zero-gradients", column.PASSED_BY: "silent-success"}
"""Columns that say what happened during the attack, and the flags made of them; older runs did not store them."""
_OF_OTHERS: set[FlagName] = {"not-converged", "weaker-with-more", "unbounded-survivors", "unverified", "leaks"}
"""Flags that do not come from the samples; the record is held to its own convergence and policy elsewhere."""


def flag_faults(setup: Setup, record: Record, samples: pa.Table, judged: dict[str, np.ndarray]) -> list[str]:
    """What is wrong with the flags of a record, one line each.

    Args:
        setup: the cell, audited again.
        record: as it was recorded.
        samples: as stored.
        judged: the columns of predictions, judged again.
    """
    labels, counts = [rung.label for rung in setup.rungs], {"proposed": 0.0, "confirmed": 0.0}
    if labels != [rung.label for rung in record.rungs]:
        return [f"rungs: {len(record.rungs)} recorded, the ladder has {', '.join(labels) or 'none'}"]
    for rung in record.rungs:
        for name in ("attacked", "fooled", "backwards", "seconds"):
            counts[f"{rung.label}.{name}"] = float(getattr(rung, name))
    arrays = {**_stored(samples), **judged, column.IMAGES: np.zeros(0, np.float32)}
    for draws in (*column.DRAWS_OF.values(), *column.SELECT_DRAWS_OF.values()):
        arrays.setdefault(draws, judged[column.CLEAN_PREDICTIONS])  # a stand-in for what an older run did not store
    found = {flag.name: flag for flag in draw_outcome(setup, Evaluated(arrays, counts)).flags}
    said = {flag.name: flag for flag in record.flags}
    unknown = {flag for name, flag in _PROCESS.items() if samples[name].null_count}
    if column.NOISE_PREDICTIONS not in judged:
        unknown.add("noise-wins")
    names = sorted((found.keys() | said.keys()) - unknown - _OF_OTHERS)
    return [line for name in names for line in flag_difference(name, said.get(name), found.get(name))]


def _stored(samples: pa.Table) -> dict[str, np.ndarray]:
    """What was measured during the attack; zeros where an older run did not store it."""
    columns = {name: samples[name].fill_null(0) for name in (column.ZERO_GRADIENTS, column.QUERIES)}
    columns |= {name: samples[name].fill_null(False) for name in (column.ZERO_AT_START, column.PASSED_BY)}
    columns |= {name: samples[name] for name in (column.DISTANCE, column.LOSS_FIRST, column.LOSS_LAST)}
    return {name: values.to_numpy(zero_copy_only=False) for name, values in columns.items()}
