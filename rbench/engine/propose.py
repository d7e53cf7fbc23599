"""One attack on some samples: what it proposes to the judge."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rbench.engine.defended import global_generators
from rbench.engine.driver import Driver, Proposals, nothing_yet
from rbench.engine.judge import Judge
from rbench.engine.oracle import Oracle
from rbench.threat.attack import ExternalAttack, IterativeAttack
from rbench.threat.ball import EXTERNAL_TOLERANCE, distance
from rbench.threat.query import Threat
from rbench.threat.terms import Norm


class Samples(NamedTuple):
    """Samples under attack."""

    x: Tensor  # [N, C, H, W] clean images
    y: Tensor  # [N] true labels
    ids: Tensor  # [N] sample ids
    share: Tensor  # [N] share of right select draws of the clean image

    def at(self, rows: Tensor) -> "Samples":
        """Some of them, by row."""
        return Samples(*(part[rows] for part in self))


class _Watch:
    """Notes which samples third-party code has seen fooled inside the ball; a forward hook."""

    def __init__(self, x: Tensor, y: Tensor, norm: Norm, eps: float) -> None:
        self.x, self.y, self.norm, self.eps = x, y, norm, eps
        self.fooled = torch.zeros(len(x), dtype=torch.bool, device=x.device)

    def __call__(self, _: nn.Module, given: tuple[Tensor, ...], logits: Tensor) -> None:
        points = given[0].detach()
        rows = torch.cdist(points.flatten(1), self.x.flatten(1)).argmin(1)
        inside = distance(points, self.x[rows], self.norm) <= self.eps + EXTERNAL_TOLERANCE
        inside &= (points.flatten(1).amin(1) >= 0) & (points.flatten(1).amax(1) <= 1)
        self.fooled[rows[inside & (logits.detach().argmax(1) != self.y[rows])]] = True


def propose(
    attack: IterativeAttack | ExternalAttack,
    oracle: Oracle,
    judge: Judge,
    samples: Samples,
    classes: int,
    on_done: Callable[[int], None],
) -> tuple[Proposals, float]:
    """Runs one attack, and says by how much rounding may take its points out of the ball.

    Args:
        attack: ours goes through the driver, third-party code around it.
        oracle: what it may ask.
        judge: who confirms; has the threat.
        samples: those to attack.
        classes: width of the logits.
        on_done: called with the number of samples that are done.
    """
    x, y, ids, share = samples
    if isinstance(attack, IterativeAttack):
        eps = torch.full((len(x),), judge.eps, dtype=torch.float64, device=x.device)
        threat, adaptive = Threat(judge.norm, eps), oracle.path != "blind"
        driver = Driver(
            attack, oracle, judge, threat, oracle.noise, judge.batch_size, adaptive=adaptive, on_done=on_done
        )
        return driver.run(x, y, ids, share), 0.0
    module, seed = oracle.as_module(x, ids), judge.noise.seed
    watch = _Watch(x, y, judge.norm, judge.eps)
    if (
        judge.draws == 1 and oracle.path != "blind"
    ):  # under fresh noise, or without the purifier, what it saw is no success
        module.register_forward_hook(watch)
    with global_generators(seed, x.device):
        points = attack.perturb(module, x.clone(), y.clone(), judge.norm, judge.eps, classes, seed)
    on_done(len(x))
    found = nothing_yet(x)
    found.x, found.passed_by = points.detach(), watch.fooled
    return found, EXTERNAL_TOLERANCE
