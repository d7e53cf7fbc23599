"""The flags of a finished cell, raised from what was measured of its defended model, its attack and its samples."""

import numpy as np

from rbench.engine.points import NEIGHBOURS
from rbench.engine.setup import Setup
from rbench.results import sample_columns as column
from rbench.results.flags import of_cell
from rbench.results.record import THROUGH_PURIFIER, Flag
from rbench.threat.displacements import LATENT


def doubts(setup: Setup, columns: dict[str, np.ndarray], arrays: dict[str, np.ndarray]) -> list[Flag]:
    """The flags of a cell, except those of its rungs, its convergence and its stored images.

    Args:
        setup: the audited cell.
        columns: its samples, as stored.
        arrays: what was measured of them, a row for each.
    """
    seen, gradients, path = setup.audit, setup.gradients, setup.path
    return [
        *of_cell.randomised(seen.repeat_difference, random=seen.random, declared=seen.declared_random),
        *of_cell.not_reproducible(reproducible=seen.reproducible),
        *of_cell.batch_dependent(seen.batch_difference, gradients.low_precision),
        *of_cell.not_logits(seen.not_logits),
        *of_cell.out_of_range(seen.out_of_range),
        *of_cell.low_precision(gradients.low_precision),
        *of_cell.no_gradient_path(path, reaches_input=seen.reaches_input or setup.attack.loss in LATENT),
        *of_cell.zero_gradients(_zero_share(setup, arrays), path),
        *of_cell.noise_wins(columns[column.NOISE], columns[column.ROBUST]),
        *of_cell.no_eot(path, random=seen.random, averages=setup.attack.averages(setup.oracle.eot)),
        *of_cell.silent_success(arrays[column.PASSED_BY].astype(bool), columns[column.ROBUST]),
        *(
            of_cell.wrong_slope(path, gradients.slope_error, gradients.slope_precision, gradients.low_precision)
            or of_cell.wrong_replay(path, gradients.checkpointed_error)
            or of_cell.wrong_in_batches(path, seen.batch_gradient_error)
        ),
        *of_cell.unstable(setup.loss_change, NEIGHBOURS),
        *of_cell.optimises_at_test_time(autograd_in_forward=gradients.autograd_in_forward),
        *of_cell.few_samples(len(arrays[column.SAMPLE])),
    ]


def _zero_share(setup: Setup, arrays: dict[str, np.ndarray]) -> float:
    """How often the attacker was given an all-zero gradient, a share in [0, 1].

    For an attack of rbench the larger of two shares: that of the attacked samples whose first query had one, and that of all queries that
    had one. For a ladder the first alone, since its rungs query along different gradient paths. For third-party code, whose queries are
    not recorded one by one, the share of samples that the audit measured, if it attacks along the exact path; otherwise 0, as for an
    attack that uses no gradient.
    """
    attack = setup.attack
    if not attack.driven:
        return setup.audit.zero_gradient_share if setup.path in THROUGH_PURIFIER else 0.0
    attacked = arrays[column.QUERIES] > 0
    if not attack.asks_gradient or not attacked.any():
        return 0.0
    at_start = float(arrays[column.ZERO_AT_START][attacked].mean())
    return (
        at_start
        if setup.rungs
        else max(at_start, float(arrays[column.ZERO_GRADIENTS].sum() / arrays[column.QUERIES].sum()))
    )
