"""From the judged samples of a cell to accuracies, flags and hashes; pure functions of arrays."""

from dataclasses import dataclass

import numpy as np

from rbench.engine.doubts import doubts
from rbench.engine.evaluation import Evaluated
from rbench.engine.ladder import contributions
from rbench.engine.setup import Setup
from rbench.results.decide import decided
from rbench.results.flags.of_cell import black_box_wins
from rbench.results.hashes import DECIDED, array_hash
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
    label = arrays["label"]
    columns = {
        "sample": arrays["sample"],
        "label": label,
        "clean": _value(arrays["clean_predictions"], label, setup),
        "clean_select": _value(arrays["clean_select"], label, setup),
        "noise": _value(arrays["noise_predictions"], label, setup),
        "select": _value(arrays["select_predictions"], label, setup),
        "robust": _value(arrays["robust_predictions"], label, setup),
        "robust_8bit": _value(arrays["robust_8bit_predictions"], label, setup),
        "clean_predictions": arrays["clean_predictions"],
        "noise_predictions": arrays["noise_predictions"],
        "select_predictions": arrays["select_predictions"],
        "robust_predictions": arrays["robust_predictions"],
        "distance": arrays["distance"],
        "loss_first": arrays["loss_first"],
        "loss_last": arrays["loss_last"],
        "queries": arrays["queries"].astype(np.int32),
        "zero_gradients": arrays["zero_gradients"].astype(np.int32),
        "zero_at_start": arrays["zero_at_start"].astype(bool),
        "passed_by": arrays["passed_by"].astype(bool),
    }
    summary = Summary(
        standard_accuracy=_figure(columns["clean"], arrays["clean_predictions"], label, setup),
        noise_accuracy=_figure(columns["noise"], arrays["noise_predictions"], label, setup),
        robust_accuracy=_figure(columns["robust"], arrays["robust_predictions"], label, setup),
        robust_accuracy_8bit=_figure(columns["robust_8bit"], arrays["robust_8bit_predictions"], label, setup),
        confirmed=Confirmation(
            proposed=int(evaluated.counts["proposed"]), confirmed=int(evaluated.counts["confirmed"])
        ),
    )
    hashes = array_hash(arrays, DECIDED), array_hash(arrays, ("images",))
    rungs = contributions(setup.rungs, evaluated.counts)
    flags = (*doubts(setup, columns, arrays), *black_box_wins(rungs, len(label)))
    return Outcome(columns, summary, flags, *hashes, rungs)


def _value(predictions: np.ndarray, label: np.ndarray, setup: Setup) -> np.ndarray:
    return decided(predictions, label, setup.protocol.decide)


def _figure(values: np.ndarray, predictions: np.ndarray, label: np.ndarray, setup: Setup) -> Figure:
    draws_matter = setup.random and setup.protocol.decide == "mean"
    interval = accuracy(values, predictions == label[:, None] if draws_matter else None)
    return Figure(value=interval.value, low=interval.low, high=interval.high, n=interval.n)
