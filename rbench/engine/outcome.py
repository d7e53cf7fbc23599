"""From judged samples to figures, flags and a hash; pure functions of arrays."""

from dataclasses import dataclass

import numpy as np

from rbench.engine.evaluation import Evaluated, Setup
from rbench.engine.gradient_audit import gradient_flags
from rbench.engine.ladder import contributions
from rbench.results.decide import decided
from rbench.results.flags.of_cell import SHARE, black_box_wins, few_samples, noise_wins, silent_success
from rbench.results.hashes import DECIDED, array_hash
from rbench.results.record import Confirmation, Figure, Flag, RungPart, Summary
from rbench.results.statistics import accuracy
from rbench.threat.attack import ExternalAttack, IterativeAttack
from rbench.threat.displacements import LATENT
from rbench.threat.terms import EXACT


@dataclass(frozen=True)
class Outcome:
    """What a finished cell says.

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


def conclude(setup: Setup, evaluated: Evaluated) -> Outcome:
    """Draws the conclusions from all samples of a cell."""
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
    flags = (*_flags(setup, columns, arrays), *black_box_wins(rungs, len(label)))
    return Outcome(columns, summary, flags, *hashes, rungs)


def _value(predictions: np.ndarray, label: np.ndarray, setup: Setup) -> np.ndarray:
    return decided(predictions, label, setup.protocol.decide)


def _figure(values: np.ndarray, predictions: np.ndarray, label: np.ndarray, setup: Setup) -> Figure:
    draws_matter = setup.random and setup.protocol.decide == "mean"
    found = accuracy(values, predictions == label[:, None] if draws_matter else None)
    return Figure(value=found.value, low=found.low, high=found.high, n=found.n)


def _flags(setup: Setup, columns: dict[str, np.ndarray], arrays: dict[str, np.ndarray]) -> list[Flag]:
    seen, found = setup.audit, []
    if seen.random and not seen.declared_random:
        found.append(Flag(name="randomised", value=_finite(seen.repeat_difference)))
    if not seen.reproducible:
        found.append(Flag(name="not-reproducible", detail="the same noise gave other logits"))
    if seen.batch_dependent:
        found.append(Flag(name="batch-dependent", value=_finite(seen.batch_difference)))
    if seen.not_logits:
        found.append(Flag(name="not-logits", detail=f"outputs are {seen.not_logits}"))
    if setup.path in EXACT and not seen.reaches_input and not _moves_a_code(setup):
        found.append(Flag(name="no-gradient-path", detail="the graph of the exact path does not reach the input"))
    zero = _zero_share(setup, arrays)
    if zero > SHARE:
        detail = f"{setup.path} path: share of samples at the start, or of the steps after it where that is more"
        found.append(Flag(name="zero-gradients", value=zero, detail=detail))
    found.extend(noise_wins(columns["noise"], columns["robust"]))
    if setup.random and setup.path != "blind" and not _averages(setup):
        found.append(Flag(name="no-eot", detail="a random defence was attacked on single draws"))
    found.extend(silent_success(arrays["passed_by"].astype(bool), columns["robust"]))
    found.extend(gradient_flags(setup.gradients, setup.path))
    return [*found, *few_samples(len(arrays["sample"]))]


def _moves_a_code(setup: Setup) -> bool:
    """Whether the attack differentiates `encode`, and not what follows it."""
    return isinstance(setup.attack, IterativeAttack) and setup.attack.loss in LATENT


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None


def _zero_share(setup: Setup, arrays: dict[str, np.ndarray]) -> float:
    """Share of attacked samples whose gradient was zero at the start, or of all steps if that is more.

    Of audited samples where the attack is not ours, and at the start alone for a ladder, where other rungs may have had another gradient.
    """
    if isinstance(setup.attack, ExternalAttack):
        return setup.audit.zero_gradient_share if setup.path in EXACT else 0.0
    attacked = arrays["queries"] > 0
    asks = setup.attack.asks if isinstance(setup.attack, IterativeAttack) else "gradient"
    if asks != "gradient" or not attacked.any():
        return 0.0
    at_start = float(arrays["zero_at_start"][attacked].mean())
    if not isinstance(setup.attack, IterativeAttack):
        return at_start
    return max(at_start, float(arrays["zero_gradients"].sum() / arrays["queries"].sum()))


def _averages(setup: Setup) -> bool:
    if isinstance(setup.attack, ExternalAttack):
        return setup.attack.averages_draws
    asks_logits = isinstance(setup.attack, IterativeAttack) and setup.attack.asks == "logits"
    return setup.oracle.eot > 1 or asks_logits
