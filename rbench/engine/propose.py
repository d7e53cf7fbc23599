"""One attack on some samples: what it proposes to the judge."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rbench.engine.defended import global_generators
from rbench.engine.driver import Driver, Proposals, nothing_yet
from rbench.engine.judge import Judge
from rbench.engine.oracle import Oracle
from rbench.threat.attack import ExternalAttack, IterativeAttack
from rbench.threat.ball import EXTERNAL_TOLERANCE, Ball
from rbench.threat.batch import Batch


class _Watch:
    """Notes which samples third-party code has seen fooled inside the ball; a forward hook."""

    def __init__(self, clean: Batch, ball: Ball) -> None:
        self.clean, self.ball = clean, ball
        self.fooled = torch.zeros(len(clean), dtype=torch.bool, device=clean.device)

    def __call__(self, _: nn.Module, given: tuple[Tensor, ...], logits: Tensor) -> None:
        points = given[0].detach()
        rows = torch.cdist(points.flatten(1), self.clean.x.flatten(1)).argmin(1)
        nearest = self.clean.at(rows)
        inside = self.ball.distance(points, nearest.x) <= self.ball.eps + EXTERNAL_TOLERANCE
        inside &= (points.flatten(1).amin(1) >= 0) & (points.flatten(1).amax(1) <= 1)
        self.fooled[rows[inside & (logits.detach().argmax(1) != nearest.y)]] = True


def propose(
    attack: IterativeAttack | ExternalAttack,
    oracle: Oracle,
    judge: Judge,
    clean: Batch,
    share: Tensor,
    classes: int,
    on_done: Callable[[int], None],
) -> Proposals:
    """Runs one attack.

    Args:
        attack: ours goes through the driver, third-party code around it.
        oracle: what it may ask.
        judge: confirms what is fooled, and has the ball.
        clean: the samples to attack.
        share: [N] share of right select draws of the clean image.
        classes: width of the logits.
        on_done: called with the number of samples that are done.
    """
    if isinstance(attack, IterativeAttack):
        adaptive = oracle.path != "blind"
        driver = Driver(attack, oracle, judge, oracle.noise, judge.batch_size, adaptive=adaptive, on_done=on_done)
        return driver.run(clean, share)
    module, seed = oracle.as_module(clean), judge.noise.seed
    watch = _Watch(clean, judge.ball)
    if judge.draws == 1 and oracle.path != "blind":
        # Under fresh noise, or without the purifier, a point that it saw fooled is no success yet.
        module.register_forward_hook(watch)
    given = Batch(clean.x.clone(), clean.y.clone(), clean.ids)
    with global_generators(seed, clean.device):
        points = attack.perturb(module, given, judge.ball, classes, seed)
    on_done(len(clean))
    proposals = nothing_yet(clean.x)
    proposals.x, proposals.passed_by = points.detach(), watch.fooled
    return proposals
