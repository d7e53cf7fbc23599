"""One attack on some samples of a defended model: propose, check, judge."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rbench.engine.defended import generator_states
from rbench.engine.driver import Proposals
from rbench.engine.judge import share_right
from rbench.engine.ladder import run_ladder
from rbench.engine.propose import Problem, propose
from rbench.engine.settled import Settled, already_fooled
from rbench.engine.setup import Setup
from rbench.engine.two_faces import refuse_two_faced
from rbench.errors import CellFailed
from rbench.results import sample_columns as column
from rbench.results.rows_on_disk import Rows
from rbench.threat.attack import ExternalAttack, IterativeAttack
from rbench.threat.ball import choose
from rbench.threat.batch import Batch

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Evaluated:
    """Some evaluated samples of a cell: arrays with one row a sample, and counts."""

    arrays: Arrays
    counts: dict[str, float]


def evaluate_batch(
    setup: Setup,
    clean: Batch,
    on_done: Callable[[int], None] = lambda count: None,
    settled: Settled | None = None,
) -> Evaluated:
    """Attacks and judges some samples.

    A purifier that draws from a global generator for the first time now was not seeded for it: the samples are attacked again, seeded.

    Args:
        setup: the audited cell.
        clean: the samples.
        on_done: called with the number of samples that are done.
        settled: of any samples, what fools them already.

    Raises:
        CellFailed: an image, a logit or a proposal breaks a rule of judging.
    """
    known, before = setup.model.known, generator_states(clean.device)
    evaluated = _evaluated(setup, clean, on_done, settled)
    if known.draws_globally or generator_states(clean.device) == before:
        return evaluated
    known.draws_globally = True
    return _evaluated(setup, clean, lambda count: None, settled)


def _evaluated(setup: Setup, clean: Batch, on_done: Callable[[int], None], settled: Settled | None) -> Evaluated:
    untouched = clean.x.clone()
    unattacked = setup.unattacked.of(setup.judge, clean)
    fooled, fooling = already_fooled(setup, clean, settled)
    right = share_right(unattacked[column.CLEAN_SELECT_PREDICTIONS], clean.y)
    problem = Problem.of(setup.judge, clean, right, setup.audit.classes, setup.chooser)
    proposals, rungs = _propose(setup, replace(problem, attacked=problem.attacked & ~fooled), on_done)
    proposals.x = choose(fooled, fooling, proposals.x)
    if not torch.equal(clean.x, untouched):
        raise CellFailed("the attack or the model changed the clean images in place")
    judged = judge_proposals(setup, proposals.x, clean)
    ties = {"ties": int(max(setup.judge.tied.values()))}
    right = share_right(judged[column.SELECT_PREDICTIONS], clean.y)
    refuse_two_faced(setup.judge, clean, proposals.x, right, reproducible=setup.audit.reproducible)
    tensors = {
        column.SAMPLE: clean.ids,
        column.LABEL: clean.y,
        **unattacked,
        **judged,
        column.LOSS_FIRST: proposals.loss_first,
        column.LOSS_LAST: proposals.loss_last,
        column.QUERIES: proposals.queries,
        column.ZERO_GRADIENTS: proposals.zero_gradients,
        column.ZERO_AT_START: proposals.zero_at_start,
        column.PASSED_BY: proposals.passed_by,
        column.IMAGES: proposals.x,
    }
    upheld = proposals.claimed & (right < 0.5)
    counts: dict[str, float] = {
        "proposed": int(proposals.claimed.sum()),
        "confirmed": int(upheld.sum()),
        **ties,
        **rungs,
    }
    return Evaluated({name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}, counts)


def judge_proposals(setup: Setup, images: Tensor, clean: Batch) -> dict[str, Tensor]:
    """Admits proposals and judges them: predicted classes [N, draws] by name, and the distances [N] from the clean images.

    What the judge counts afterwards as tied are the proposals, on select and score draws.

    Raises:
        CellFailed: a proposal breaks a rule, or a logit is not finite.
    """
    judge = setup.judge
    moved = judge.admit(images, clean, setup.tolerance)
    judge.tied.clear()
    select, score = judge.both(
        images, clean
    )  # first: a purifier that looks for the 8-bit grid must not have met it before
    uncounted = replace(judge, tied=Counter())
    rounded_select, rounded_score = uncounted.both(judge.ball.eight_bits(images, clean.x), clean)
    return {
        column.SELECT_PREDICTIONS: select,
        column.ROBUST_PREDICTIONS: score,
        column.ROBUST_8BIT_SELECT_PREDICTIONS: rounded_select,
        column.ROBUST_8BIT_PREDICTIONS: rounded_score,
        column.DISTANCE: moved,
    }


def _propose(setup: Setup, problem: Problem, on_done: Callable[[int], None]) -> tuple[Proposals, dict[str, float]]:
    if isinstance(setup.attack, IterativeAttack | ExternalAttack):
        rows = torch.arange(len(problem.clean), device=problem.clean.device)
        return propose(setup.attack, setup.oracle, problem, rows, on_done), {}
    return run_ladder(setup.rungs, problem, setup.oracle.model, on_done)


def join(parts: Sequence[Evaluated]) -> Evaluated:
    """Parts of one cell as one, in ascending order of the samples."""
    stored = not all(isinstance(part.arrays[column.IMAGES], np.ndarray) for part in parts)
    whole = [name for name in parts[0].arrays if not (stored and name == column.IMAGES)]
    arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in whole}
    order = np.argsort(arrays[column.SAMPLE], kind="stable")
    counts = {name: sum(part.counts.get(name, 0) for part in parts) for name in parts[0].counts}
    ordered: dict[str, Any] = {name: array[order] for name, array in arrays.items()}
    if stored:
        ordered[column.IMAGES] = Rows.of([part.arrays[column.IMAGES] for part in parts]).at(order)
    return Evaluated(ordered, counts)
