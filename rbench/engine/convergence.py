"""Has an attack converged? The first samples of a cell attacked again with other budgets, and with nothing left to forbid."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from rbench.engine.driver import fit_classes
from rbench.engine.evaluation import Setup, evaluate_chunk
from rbench.engine.oracle import Oracle
from rbench.errors import CellFailed
from rbench.results.decide import decided
from rbench.results.flags.of_row import LUCK_CONFIDENCE
from rbench.results.record import ConvergencePart, Flag
from rbench.results.statistics import paired_bootstrap
from rbench.suite.budgets import curve
from rbench.threat.attack import Attack, IterativeAttack
from rbench.threat.terms import Norm

CHANGE = 0.01
"""More than this share of robust accuracy gained or lost by a doubling: not converged (docs/judging.md section 4)."""


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


def converge(
    setup: Setup, remake: Callable[[Mapping[str, int | None]], Attack | None], sample: tuple[Tensor, Tensor, Tensor]
) -> Convergence:
    """Attacks some samples with other budgets, along the path and against the draws of the cell.

    Args:
        setup: of the cell.
        remake: parameters to change -> the attack with them, made anew since its steps may be part of its schedule; None where it has no
            such parameter.
        sample: (images, labels, ids).

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
        free = _trial(_unbounded(setup, sample[0]), sample, "eps", remake({"step_size": None}) or attack)
    kept = [trial for trial in (*found, base, *doubled, free) if trial is not None]
    flags = [_not_converged(base, trial, random=setup.random) for trial in doubled if trial is not None]
    if free is not None:
        flags.append(_survivors(free))
    raised = tuple(flag for flag in flags if flag is not None)
    measured = any(trial is not None for trial in doubled)
    verdict = not any(flag.name == "not-converged" for flag in raised) if measured else None
    return Convergence(tuple(trial.part for trial in kept), raised, verdict)


def _averaging(setup: Setup, times: int) -> Oracle:
    oracle = setup.oracle
    return Oracle(oracle.model, oracle.path, eot=times * oracle.eot, noise=oracle.noise)


def _unbounded(setup: Setup, x: Tensor) -> Setup:
    """The same cell with the whole pixel range for a ball."""
    eps = _everything(setup.protocol.norm, x[0].numel())
    return replace(setup, protocol=replace(setup.protocol, eps=eps), judge=replace(setup.judge, eps=eps))


def _everything(norm: Norm, pixels: int) -> float:
    return {"Linf": 1.0, "L2": math.sqrt(pixels), "L1": float(pixels)}[norm]


def _trial(setup: Setup, sample: tuple[Tensor, Tensor, Tensor], what: str, attack: Attack | None) -> _Trial | None:
    if not isinstance(attack, IterativeAttack):
        return None
    fitted = fit_classes(attack, setup.audit.classes)
    clock = time.monotonic()
    try:
        arrays = evaluate_chunk(replace(setup, attack=fitted), *sample).arrays
    except CellFailed as error:
        raise CellFailed(f"protocol.convergence ({what}): {error}", error.sample_ids) from error
    values = decided(arrays["robust_predictions"], arrays["label"], setup.protocol.decide)
    losses = arrays["loss_last"][np.isfinite(arrays["loss_last"])]
    content: dict[str, Any] = {
        "what": what,
        "steps": fitted.steps,
        "restarts": fitted.restarts,
        "eot": setup.oracle.eot,
        "eps": setup.protocol.eps,
        "samples": len(values),
        "robust_accuracy": float(values.mean(dtype=np.float64)),
        "standing": int((values > 0).sum()),
        "loss": float(losses.mean(dtype=np.float64)) if len(losses) else None,
        "seconds": round(time.monotonic() - clock, 3),
    }
    return _Trial(ConvergencePart.model_validate(content), values.astype(np.float64))


def _not_converged(base: _Trial | None, doubled: _Trial, *, random: bool) -> Flag | None:
    assert base is not None
    change = float((base.values - doubled.values).mean())
    # In whole samples, so that a change of exactly one point is not above it by rounding.
    if abs(change) <= CHANGE + 1e-9:
        return None
    if random:
        interval = paired_bootstrap(base.values, doubled.values, confidence=LUCK_CONFIDENCE)
        if interval.low <= 0 <= interval.high:
            return None
    detail = f"twice the {doubled.part.what}: {100 * change:+.1f} points on {doubled.part.samples} samples"
    return Flag(name="not-converged", value=abs(change), detail=detail)


def _survivors(free: _Trial) -> Flag | None:
    """A random defence may be right by luck on one draw; half of them are no luck."""
    standing = float((free.values >= 0.5).mean())
    if standing == 0:
        return None
    detail = f"share of {free.part.samples} samples that stand with eps {free.part.eps:g}"
    return Flag(name="unbounded-survivors", value=standing, detail=detail)
