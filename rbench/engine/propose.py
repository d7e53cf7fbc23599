"""One attack on some samples: what it proposes to the judge."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rbench.attacks.types import ExternalAttack, IterativeAttack
from rbench.engine.answer import Threat
from rbench.engine.ball import EXTERNAL_TOLERANCE
from rbench.engine.defended import global_generators
from rbench.engine.driver import Driver, Proposals, nothing_yet
from rbench.engine.judge import Judge
from rbench.engine.oracle import Oracle


class Samples(NamedTuple):
    """Samples under attack."""

    x: Tensor  # [N, C, H, W] clean images
    y: Tensor  # [N] true labels
    ids: Tensor  # [N] sample ids
    share: Tensor  # [N] share of right select draws of the clean image

    def at(self, rows: Tensor) -> "Samples":
        """Some of them, by row."""
        return Samples(*(part[rows] for part in self))


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
    with global_generators(seed, x.device):
        points = attack.perturb(module, x.clone(), y.clone(), judge.norm, judge.eps, classes, seed)
    on_done(len(x))
    found = nothing_yet(x)
    found.x = points.detach()
    return found, EXTERNAL_TOLERANCE
