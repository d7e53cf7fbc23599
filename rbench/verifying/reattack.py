"""Attacking again with another seed: some claimed survivors of a row, or a whole cell in another order and batch size."""

import time
from dataclasses import dataclass, replace

import numpy as np

from rbench.engine.evaluation import join
from rbench.engine.oracle import Oracle
from rbench.engine.setup import Setup
from rbench.results import sample_columns as column
from rbench.results.decide import decided
from rbench.results.flags.catalogue import LUCK_CONFIDENCE
from rbench.results.statistics import paired_bootstrap
from rbench.results.verification import Reattack, Rerun
from rbench.running.prepare import Prepared
from rbench.running.span import run_span
from rbench.threat.noise import Noise

CONFIDENCE = 0.95
POINT = 0.01
"""Robust accuracy may be a point lower with another seed before a cell is doubted."""
_FAR = 2**52
"""Added to the seed where a purifier with fixed noise is attacked again: a multiple of 2**32, so that its draws, which depend on the seed
modulo 2**32 and are part of the defence, stay the same and those of the attack do not; larger than what the rungs of a ladder add."""


@dataclass(frozen=True)
class Claim:
    """The samples that a row claims to have survived.

    Attributes:
        value: its robust accuracy.
        low: lower end of the 95 % interval.
        survivors: int64 ids of the samples that survive all attacks.
    """

    value: float
    low: float
    survivors: np.ndarray


def other_seed(setup: Setup) -> int:
    """Another seed for the attack and for the judge's draws."""
    return setup.protocol.seed + (_FAR if setup.model.draws_known else 1)


def attack_survivors(prepared: Prepared, claim: Claim, wanted: int) -> tuple[Reattack | None, list[str]]:
    """Attacks survivors of a row, drawn at random, and says what that means for the claim; nothing where nobody survives.

    Args:
        prepared: the strongest attack of the row.
        claim: of the row.
        wanted: how many to attack, all if there are fewer.

    Returns:
        What the new attack did, and a fault where it fooled so many that the interval of the claim cannot hold.
    """
    k = min(wanted, len(claim.survivors))
    if k == 0:
        return None, []
    clock, seed = time.monotonic(), other_seed(prepared.setup)
    chosen = np.sort(np.random.default_rng(seed).choice(claim.survivors, k, replace=False))
    arrays = run_span(_reseeded(prepared, seed, prepared.setup.judge.batch_size), chosen).arrays
    right = arrays[column.ROBUST_PREDICTIONS] == arrays[column.LABEL][:, None]
    fooled = int((~right.any(axis=1)).sum())
    least, most = false_share(fooled, k)
    reattack = Reattack(
        seed=seed, attacked=k, fell=fooled, false_at_most=most, seconds=round(time.monotonic() - clock, 3)
    )
    if claim.value * (1 - least) >= claim.low:
        return reattack, []
    return reattack, [
        f"robust accuracy: {fooled} of {k} survivors are fooled by the same attack with another seed, so at least {100 * least:.0f} % of "
        f"them are false, and {100 * claim.value:.1f} % cannot hold"
    ]


def false_share(fooled: int, attacked: int) -> tuple[float, float]:
    """The least and the most, each with 95 % confidence, that the share of false survivors can be (Clopper and Pearson 1934).

    Where none is fooled, at most 1 - 0.05^(1/k), which is about 3/k.
    """
    from scipy.special import betaincinv

    low = 0.0 if fooled == 0 else float(betaincinv(fooled, attacked - fooled + 1, 1 - CONFIDENCE))
    high = 1.0 if fooled == attacked else float(betaincinv(fooled + 1, attacked - fooled, CONFIDENCE))
    return low, high


def run_again(prepared: Prepared, said: np.ndarray) -> tuple[Rerun, list[str]]:
    """Runs a whole cell with another seed, the samples in reverse order and another batch size.

    Args:
        prepared: the cell.
        said: [N] recorded value of each of its samples under the attack.

    Returns:
        What was found, and a fault where robust accuracy is more than a point lower and no luck explains it.
    """
    setup = prepared.setup
    clock, seed = time.monotonic(), other_seed(setup)
    size = setup.judge.batch_size // 2 + 1
    again, turned = _reseeded(prepared, seed, size), prepared.ids[::-1].copy()
    span = setup.attack.chunk(size)
    arrays = join([run_span(again, turned[start : start + span]) for start in range(0, len(turned), span)]).arrays
    values = decided(arrays[column.ROBUST_PREDICTIONS], arrays[column.LABEL], setup.protocol.decide).astype(np.float64)
    difference = paired_bootstrap(said.astype(np.float64), values)
    rerun = Rerun(
        seed=seed,
        batch_size=size,
        robust_accuracy=float(values.mean()),
        difference=difference.value,
        low=difference.low,
        high=difference.high,
        seconds=round(time.monotonic() - clock, 3),
    )
    lucky = paired_bootstrap(said.astype(np.float64), values, confidence=LUCK_CONFIDENCE).low <= 0
    if difference.value <= POINT or lucky:
        return rerun, []
    return rerun, [
        f"robust accuracy: {100 * said.mean():.1f} % recorded, {100 * values.mean():.1f} % with another seed, order and batch size"
    ]


def _reseeded(prepared: Prepared, seed: int, batch_size: int) -> Prepared:
    setup = prepared.setup
    noise, oracle = Noise(seed), setup.oracle
    changed = replace(
        setup,
        protocol=replace(setup.protocol, seed=seed, batch_size=batch_size),
        noise=noise,
        judge=replace(setup.judge, noise=noise, batch_size=batch_size),
        oracle=Oracle(oracle.model, oracle.path, eot=oracle.eot, noise=noise),
    )
    return replace(prepared, setup=changed)
