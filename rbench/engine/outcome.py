"""From the judged samples of a cell to accuracies, flags and hashes; pure functions of arrays."""

from dataclasses import dataclass

import numpy as np

from rbench.engine.doubts import doubts
from rbench.engine.evaluation import Evaluated
from rbench.engine.ladder import contributions
from rbench.engine.setup import Setup
from rbench.results import sample_columns as column
from rbench.results.decide import decided
from rbench.results.flags.of_cell import black_box_wins
from rbench.results.hashes import array_hash
from rbench.results.record import Confirmation, Figure, Flag, RungPart, Summary
from rbench.results.statistics import accuracy


@dataclass(frozen=True)
class Outcome:
    """The results of a finished cell.

    Attributes:
        samples: the columns of `rbench.results.samples`.
        summary: accuracies with intervals.
        flags: doubts that this cell alone can raise.
        result_hash: sha256 of what was decided about every sample. Costs and times are not in it, nor the pixels of the proposals, which
            float kernels may round otherwise at another batch size.
        images_hash: sha256 of the proposals, bit by bit.
        rungs: what each rung of a ladder did.
    """

    samples: dict[str, np.ndarray]
    summary: Summary
    flags: tuple[Flag, ...]
    result_hash: str
    images_hash: str
    rungs: tuple[RungPart, ...]


def draw_outcome(setup: Setup, evaluated: Evaluated) -> Outcome:
    """The outcome of the evaluated samples of a cell."""
    arrays = evaluated.arrays
    label = arrays[column.LABEL]
    columns = {
        column.SAMPLE: arrays[column.SAMPLE],
        column.LABEL: label,
        **{name: decided(arrays[draws], label, setup.protocol.decide) for name, draws in column.DRAWS_OF.items()},
        **{name: decided(arrays[draws], label, "mean") for name, draws in column.SELECT_DRAWS_OF.items()},
        **{name: arrays[name] for name in column.PREDICTIONS},
        **{name: arrays[name] for name in (column.DISTANCE, column.LOSS_FIRST, column.LOSS_LAST)},
        **{name: arrays[name].astype(np.int32) for name in (column.QUERIES, column.ZERO_GRADIENTS)},
        **{name: arrays[name].astype(bool) for name in (column.ZERO_AT_START, column.PASSED_BY)},
    }
    summary = Summary(
        standard_accuracy=_figure(column.CLEAN, columns, arrays, setup),
        noise_accuracy=_figure(column.NOISE, columns, arrays, setup),
        robust_accuracy=_figure(column.ROBUST, columns, arrays, setup),
        robust_accuracy_8bit=_figure(column.ROBUST_8BIT, columns, arrays, setup),
        confirmed=Confirmation(
            proposed=int(evaluated.counts["proposed"]), confirmed=int(evaluated.counts["confirmed"])
        ),
    )
    hashes = array_hash(arrays, column.DECIDED), array_hash(arrays, (column.IMAGES,))
    rungs = contributions(setup.rungs, evaluated.counts)
    flags = (*doubts(setup, columns, arrays), *black_box_wins(rungs, len(label)))
    return Outcome(columns, summary, flags, *hashes, rungs)


def _figure(name: str, columns: dict[str, np.ndarray], arrays: dict[str, np.ndarray], setup: Setup) -> Figure:
    draws_matter = setup.random and setup.protocol.decide == "mean"
    right = arrays[column.DRAWS_OF[name]] == arrays[column.LABEL][:, None]
    interval = accuracy(columns[name], right if draws_matter else None)
    return Figure(value=interval.value, low=interval.low, high=interval.high, n=interval.n)
