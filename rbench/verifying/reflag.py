"""Raising the flags of a cell again, from what was measured again."""

import numpy as np
import pyarrow as pa

from rbench.engine.evaluation import Evaluated
from rbench.engine.outcome import draw_outcome
from rbench.engine.setup import Setup
from rbench.results.flags.catalogue import FlagName
from rbench.results.record import Record
from rbench.verifying.files import flag_difference

_PROCESS: dict[str, FlagName] = {"zero_gradients": "zero-gradients", "passed_by": "silent-success"}
"""Columns that say what happened during the attack, and the flags made of them; older runs did not store them."""
_OF_OTHERS: set[FlagName] = {"not-converged", "unbounded-survivors", "unverified"}
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
    arrays = {**_stored(samples), **judged, "images": np.zeros(0, np.float32)}
    for lacking in ("noise_predictions", "select_predictions", "clean_select", "robust_8bit_predictions"):
        arrays.setdefault(lacking, judged["clean_predictions"])
    found = {flag.name: flag for flag in draw_outcome(setup, Evaluated(arrays, counts)).flags}
    said = {flag.name: flag for flag in record.flags}
    unknown = {flag for column, flag in _PROCESS.items() if samples[column].null_count}
    if "noise_predictions" not in judged:
        unknown.add("noise-wins")
    names = sorted((found.keys() | said.keys()) - unknown - _OF_OTHERS)
    return [line for name in names for line in flag_difference(name, said.get(name), found.get(name))]


def _stored(samples: pa.Table) -> dict[str, np.ndarray]:
    """What was measured during the attack; zeros where an older run did not store it."""
    columns = {name: samples[name].fill_null(0) for name in ("zero_gradients", "queries")}
    columns |= {name: samples[name].fill_null(False) for name in ("zero_at_start", "passed_by")}
    columns |= {name: samples[name] for name in ("distance", "loss_first", "loss_last")}
    return {name: column.to_numpy(zero_copy_only=False) for name, column in columns.items()}
