"""Has an attack converged? The first samples of a cell attacked again with other budgets, and with nothing left to forbid."""

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
from rbench.results.flags.of_cell import not_converged, unbounded_survivors
from rbench.results.record import ConvergencePart, Flag
from rbench.suite.budgets import curve
from rbench.threat.attack import Attack, IterativeAttack
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.terms import Norm


@dataclass(frozen=True)
class Convergence:
    """What the other budgets gave, the doubts that this raises, and the verdict: None where nothing could be doubled."""

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
    budgets = [("curve", {"steps": steps}) for steps in curve(attack.steps)]
    found = [_trial(setup, sample, what, remake(changes)) for what, changes in budgets]
    base = _trial(setup, sample, "budget", attack)
    doubled = [
        _trial(setup, sample, "steps", remake({"steps": 2 * attack.steps})),
        _trial(setup, sample, "restarts", remake({"restarts": 2 * attack.restarts})),
        _trial(replace(setup, oracle=_averaging(setup, 2)), sample, "eot", attack) if setup.random else None,
    ]
    free = None
    if setup.path != "blind":
        # A step that was made for the ball would not get far beyond it.
        free = _trial(_unbounded(setup, sample.x), sample, "eps", remake({"step_size": None}) or attack)
    kept = [trial for trial in (*found, base, *doubled, free) if trial is not None]
    flags = [
        flag
        for trial in doubled
        if base is not None and trial is not None
        for flag in not_converged(base.values, trial.values, trial.part.what, random=setup.random)
    ]
    verdict = not flags if any(trial is not None for trial in doubled) else None
    if free is not None:
        flags += unbounded_survivors(free.values, free.part.eps)
    return Convergence(tuple(trial.part for trial in kept), tuple(flags), verdict)


def _averaging(setup: Setup, times: int) -> Oracle:
    oracle = setup.oracle
    return Oracle(oracle.model, oracle.path, eot=times * oracle.eot, noise=oracle.noise)


def _unbounded(setup: Setup, x: Tensor) -> Setup:
    """The same cell with the whole pixel range for a ball."""
    norm = setup.protocol.ball.norm
    ball = Ball(norm, _everything(norm, x[0].numel()))
    return replace(setup, protocol=replace(setup.protocol, ball=ball), judge=replace(setup.judge, ball=ball))


def _everything(norm: Norm, pixels: int) -> float:
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
