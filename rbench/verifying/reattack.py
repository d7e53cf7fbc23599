"""Attacking again with another seed: survivors of a row by attacks of the verifier's choice, or a whole cell in another order."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from rbench.engine.oracle import Oracle
from rbench.engine.setup import Setup
from rbench.results import sample_columns as column
from rbench.results.decide import decided
from rbench.results.verification import Reattack
from rbench.running.components import make
from rbench.running.prepare import Prepared, ready
from rbench.running.span import run_span
from rbench.threat.noise import Noise
from rbench.verifying.survivors import Claim, by_chance, false_share

OWN = {"steps": 20, "restarts": 1, "targets": 3, "queries": 500}
"""The short budget of the ladder that every row meets, whatever it was attacked with: it runs blind PGD, PGD, APGD and Square."""
_FAR = 2**52
"""Added to the seed where a purifier with fixed noise is attacked again: a multiple of 2**32, so that its draws, which depend on the seed
modulo 2**32 and are part of the defence, stay the same and those of the attack do not; larger than what the rungs of a ladder add."""


def other_seed(setup: Setup) -> int:
    """Another seed for the attack and for the judge's draws."""
    return setup.protocol.seed + (_FAR if setup.model.draws_known else 1)


def attack_survivors(
    row: Sequence[Prepared], names: Sequence[str], claim: Claim, wanted: int
) -> tuple[Reattack | None, list[str]]:
    """Attacks survivors of a row, drawn at random, and says what that means for the claim; nothing where nobody survives.

    They meet the ladder `adaptive` with a short budget, and every attack of the row, all with another seed. Under a deterministic defence
    a survivor falls when one of the points found, or its 8-bit image, is wrong. Under a random one select draws choose among the points,
    and it falls when the fresh score draws of the chosen one decide against it.

    Args:
        row: the attacks of the row, audited again, the strongest first.
        names: what each is called.
        claim: of the row.
        wanted: how many to attack, all if there are fewer.

    Returns:
        What the new attacks did, and a fault where they fooled so many that the interval of the claim cannot hold.

    Raises:
        CellFailed: an attack or the model breaks a rule of judging.
    """
    survivors = claim.survivors
    k = min(wanted, len(survivors))
    if k == 0:
        return None, []
    clock, seed = time.monotonic(), other_seed(row[0].setup)
    chosen = np.sort(np.random.default_rng(seed).choice(survivors, k, replace=False))
    attacks = [_own_ladder(row[0]), *row]
    fell = _fallen([reseeded(one, seed, one.setup.judge.batch_size) for one in attacks], claim.ids[chosen])
    fooled, (surely, perhaps) = int(fell.sum()), by_chance(claim, chosen)
    least, most = false_share(max(0, fooled - perhaps), k)[0], false_share(max(0, fooled - surely), k)[1]
    reattack = Reattack(
        seed=seed,
        attacked=k,
        fell=fooled,
        by_chance=perhaps,
        false_at_most=most,
        attacks=("adaptive (short)", *names),
        seconds=round(time.monotonic() - clock, 3),
    )
    if claim.value * (1 - least) >= claim.low:
        return reattack, []
    luck = f" (up to {perhaps} by chance)" if perhaps else ""
    return reattack, [
        f"robust accuracy: {fooled} of {k} survivors are fooled with another seed by {' and '.join(reattack.attacks)}{luck}, so at least "
        f"{100 * least:.0f} % of them are false, and {100 * claim.value:.1f} % cannot hold: "
        "the row wants stronger attacks, such as `adaptive`"
    ]


def _own_ladder(prepared: Prepared) -> Prepared:
    """The verifier's own attack on the model of a row."""
    setup = prepared.setup
    attack = make("attack", "adaptive", OWN)
    loaded = replace(prepared.loaded, attack=attack, source=None, stand_in=None)
    return ready(loaded, replace(setup.protocol, gradient="auto"), prepared.ids)


def _fallen(attacks: Sequence[Prepared], ids: np.ndarray) -> np.ndarray:
    """Which samples fall, bool [N]."""
    if attacks[0].setup.random:
        return _chosen(attacks, ids) < 0.5
    fell = np.zeros(len(ids), dtype=bool)
    for attack in attacks:
        left = np.flatnonzero(~fell)
        if len(left):
            arrays = run_span(attack, ids[left]).arrays
            label = arrays[column.LABEL][:, None]
            wrong = [arrays[name] != label for name in (column.ROBUST_PREDICTIONS, column.ROBUST_8BIT_PREDICTIONS)]
            fell[left] = np.concatenate(wrong, axis=1).any(axis=1)
    return fell


def _chosen(attacks: Sequence[Prepared], ids: np.ndarray) -> np.ndarray:
    """The value of each sample [N] at the point that select draws choose among those of all attacks."""
    points = [point for attack in attacks for point in _points(attack, ids)]
    chosen = np.argmin(np.stack([share for share, _ in points]), axis=0)
    return np.asarray(np.stack([value for _, value in points])[chosen, np.arange(len(ids))])


def _points(attack: Prepared, ids: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Point, 8-bit image and clean image of each sample: the share of select draws that are right, and the value on score draws."""
    arrays = run_span(attack, ids).arrays
    label = arrays[column.LABEL]
    for select, score in (
        (column.SELECT_PREDICTIONS, column.ROBUST_PREDICTIONS),
        (column.ROBUST_8BIT_SELECT_PREDICTIONS, column.ROBUST_8BIT_PREDICTIONS),
        (column.CLEAN_SELECT_PREDICTIONS, column.CLEAN_PREDICTIONS),
    ):
        yield (arrays[select] == label[:, None]).mean(1), decided(arrays[score], label, attack.setup.protocol.decide)


def reseeded(prepared: Prepared, seed: int, batch_size: int) -> Prepared:
    """A cell with another seed for attack and judge, and another batch size."""
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
