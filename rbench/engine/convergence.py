"""Whether an attack has converged, measured on the first samples of a cell.

They are attacked again with fewer steps; with twice the steps, restarts and EOT draws; and once without a bound, in a ball as large as
the pixel range, where an attack that works fools every sample.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from rbench.engine.evaluation import evaluate_batch
from rbench.engine.oracle import Oracle
from rbench.engine.setup import Setup
from rbench.errors import CellFailed
from rbench.results import sample_columns as column
from rbench.results.decide import decided
from rbench.results.flags.of_cell import not_converged, unbounded_survivors, weaker_with_more
from rbench.results.record import ConvergencePart, Flag
from rbench.suite.budgets import curve
from rbench.threat.attack import Attack, IterativeAttack
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.terms import Norm


@dataclass(frozen=True)
class Convergence:
    """How an attack does with other budgets.

    Attributes:
        parts: a result for each budget.
        flags: the doubts that they raise.
        converged: whether doubling raised no flag; None where nothing could be doubled.
    """

    parts: tuple[ConvergencePart, ...] = ()
    flags: tuple[Flag, ...] = ()
    converged: bool | None = None


@dataclass(frozen=True)
class _Trial:
    """One attack on the samples: its part of the record, and the value [N] of each sample."""

    part: ConvergencePart
    values: np.ndarray


def converge(setup: Setup, remake: Callable[[Mapping[str, int | None]], Attack | None], sample: Batch) -> Convergence:
    """Attacks some samples with other budgets, along the path and against the draws of the cell.

    Args:
        setup: of the cell.
        remake: parameters to change -> the attack with them, made anew since its steps may be part of its schedule; None where it has no
            such parameter.
        sample: the samples.

    Raises:
        CellFailed: a rule of judging is broken.
    """
    attack = setup.attack
    if not isinstance(attack, IterativeAttack):
        return Convergence()
    fewer = [_trial(setup, sample, "curve", remake({"steps": steps})) for steps in curve(attack.steps)]
    base = _trial(setup, sample, "budget", attack)
    doubled = [
        _trial(setup, sample, "steps", remake({"steps": 2 * attack.steps})),
        _trial(setup, sample, "restarts", remake({"restarts": 2 * attack.restarts})),
        _trial(replace(setup, oracle=_averaging(setup, 2)), sample, "eot", attack) if setup.random else None,
    ]
    unbounded = None
    if setup.path != "blind":
        # A step size that was chosen for the ball would not get far beyond it.
        unbounded = _trial(_unbounded(setup, sample.x), sample, "eps", remake({"step_size": None}) or attack)
    kept = [trial for trial in (*fewer, base, *doubled, unbounded) if trial is not None]
    flags = [
        flag
        for trial in doubled
        if base is not None and trial is not None
        for doubt in (not_converged, weaker_with_more)
        for flag in doubt(base.values, trial.values, trial.part.what, random=setup.random)
    ]
    verdict = not flags if any(trial is not None for trial in doubled) else None
    if unbounded is not None:
        flags += unbounded_survivors(unbounded.values, unbounded.part.eps)
    return Convergence(tuple(trial.part for trial in kept), tuple(flags), verdict)


def _averaging(setup: Setup, times: int) -> Oracle:
    oracle = setup.oracle
    return Oracle(oracle.model, oracle.path, eot=times * oracle.eot, noise=oracle.noise)


def _unbounded(setup: Setup, x: Tensor) -> Setup:
    """The same cell with a ball that holds every image in [0, 1]."""
    norm = setup.protocol.ball.norm
    ball = Ball(norm, _largest_distance(norm, x[0].numel()))
    return replace(setup, protocol=replace(setup.protocol, ball=ball), judge=replace(setup.judge, ball=ball))


def _largest_distance(norm: Norm, pixels: int) -> float:
    """How far apart two images in [0, 1] can be."""
    return {"Linf": 1.0, "L2": math.sqrt(pixels), "L1": float(pixels)}[norm]


def _trial(setup: Setup, sample: Batch, what: str, attack: Attack | None) -> _Trial | None:
    if not isinstance(attack, IterativeAttack):
        return None
    fitted = attack.fit(setup.audit.classes)
    clock = time.monotonic()
    try:
        arrays = evaluate_batch(replace(setup, attack=fitted), sample).arrays
    except CellFailed as error:
        raise CellFailed(f"protocol.convergence ({what}): {error}", error.sample_ids) from error
    values = decided(arrays[column.ROBUST_PREDICTIONS], arrays[column.LABEL], setup.protocol.decide)
    losses = arrays[column.LOSS_LAST][np.isfinite(arrays[column.LOSS_LAST])]
    content: dict[str, Any] = {
        "what": what,
        "steps": fitted.steps,
        "restarts": fitted.restarts,
        "eot": setup.oracle.eot,
        "eps": float(setup.protocol.ball.eps),
        "samples": len(values),
        "robust_accuracy": float(values.mean(dtype=np.float64)),
        "standing": int((values > 0).sum()),
        "loss": float(losses.mean(dtype=np.float64)) if len(losses) else None,
        "seconds": round(time.monotonic() - clock, 3),
    }
    return _Trial(ConvergencePart.model_validate(content), values.astype(np.float64))
