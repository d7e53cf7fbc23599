"""One attack on some samples: what it proposes to the judge."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rbench.engine.best_of_many import BestOfMany
from rbench.engine.defended import global_generators
from rbench.engine.driver import Driver, Proposals, nothing_yet
from rbench.engine.judge import Judge
from rbench.engine.kept import FirstFooled, HighestLoss, Kept
from rbench.engine.leaving import Leaving
from rbench.engine.oracle import Oracle
from rbench.errors import CellFailed
from rbench.threat.attack import ExternalAttack, IterativeAttack
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.terms import EXTERNAL_TOLERANCE


class _Watch:
    """Notes which samples third-party code has seen fooled inside the ball; a forward hook."""

    def __init__(self, clean: Batch, ball: Ball) -> None:
        self.clean, self.ball = clean, ball
        self.fooled = torch.zeros(len(clean), dtype=torch.bool, device=clean.device)

    def __call__(self, _: nn.Module, given: tuple[Tensor, ...], logits: Tensor) -> None:
        points = given[0].detach()
        rows = torch.cdist(points.flatten(1), self.clean.x.flatten(1)).argmin(1)
        nearest = self.clean.at(rows)
        inside = self.ball.within(self.ball.distance(points, nearest.x), EXTERNAL_TOLERANCE)
        inside &= (points.flatten(1).amin(1) >= 0) & (points.flatten(1).amax(1) <= 1)
        self.fooled[rows[inside & (logits.detach().argmax(1) != nearest.y)]] = True


@dataclass(frozen=True)
class Problem:
    """Samples under attack, and what is known of them.

    Attributes:
        clean: N samples.
        judge: confirms what is fooled, and has the ball.
        chooser: ranks, races and tests points of a random defence.
        attacked: bool [N] those that are attacked; a deterministic defence that is wrong already needs no attack.
        leaving: of a random defence, which samples need no more attack, and the tests that they have had.
        classes: width of the logits.
    """

    clean: Batch
    judge: Judge
    chooser: Judge
    attacked: Tensor
    leaving: Leaving
    classes: int

    @classmethod
    def of(
        cls, judge: Judge, clean: Batch, clean_select: Tensor, classes: int, chooser: Judge | None = None
    ) -> "Problem":
        """The problem before any attack.

        Args:
            judge: of the cell.
            clean: N samples.
            clean_select: [N] share of right select draws of the clean image.
            classes: width of the logits.
            chooser: the judge if not given.
        """
        attacked = torch.ones_like(clean_select, dtype=torch.bool) if judge.random else clean_select > 0
        return cls(clean, judge, chooser or judge, attacked, Leaving(len(clean), clean.device), classes)


def propose(
    attack: IterativeAttack | ExternalAttack,
    oracle: Oracle,
    problem: Problem,
    rows: Tensor,
    on_done: Callable[[int], None],
) -> Proposals:
    """Runs one attack.

    Args:
        attack: ours goes through the driver, third-party code around it.
        oracle: what it may ask.
        problem: the samples.
        rows: [M] those of them that it is run on.
        on_done: called with the number of samples that are done.

    Returns:
        What it proposes for these M samples.
    """
    clean, judge = problem.clean.at(rows), problem.judge
    if isinstance(attack, IterativeAttack):
        driver = Driver(attack, oracle, judge.ball, oracle.noise, judge.batch_size, on_done=on_done)
        return driver.run(clean, problem.attacked[rows], _kept(oracle, problem, rows, clean))
    module, seed = oracle.as_module(clean), judge.noise.seed
    watch = _Watch(clean, judge.ball)
    if not judge.random and oracle.path != "blind":
        # Under fresh noise, or without the purifier, a point that it saw fooled is no success yet.
        module.register_forward_hook(watch)
    given = Batch(clean.x.clone(), clean.y.clone(), clean.ids.clone())
    with global_generators(seed, clean.device):
        points = attack.perturb(module, given, judge.ball, problem.classes, seed)
    if not isinstance(points, Tensor):
        raise CellFailed(
            f"the attack returned {type(points).__name__}, not a tensor {tuple(clean.x.shape)} of adversarial images"
        )
    if points.shape != clean.x.shape:
        raise CellFailed(f"the attack returned {tuple(points.shape)} {points.dtype}, not {tuple(clean.x.shape)}")
    if points.device != clean.device:
        raise CellFailed(f"the attack returned images on {points.device}, not on {clean.device}")
    on_done(len(clean))
    proposals = nothing_yet(clean.x)
    proposals.x, proposals.passed_by = points.detach(), watch.fooled
    return proposals


def _kept(oracle: Oracle, problem: Problem, rows: Tensor, clean: Batch) -> Kept:
    if oracle.path == "blind":
        return HighestLoss(clean)
    if problem.judge.random:
        return BestOfMany(problem.chooser, clean, problem.leaving, rows)
    return FirstFooled(problem.judge, clean)
