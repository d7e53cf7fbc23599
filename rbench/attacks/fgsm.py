"""The fast gradient sign method."""

from torch import Tensor

from rbench.attacks.pgd import PgdState, begin, step
from rbench.threat.attack import IterativeAttack
from rbench.threat.ball import Ball
from rbench.threat.noise import SampleNoise
from rbench.threat.terms import Loss, Norm

NORMS: tuple[Norm, ...] = ("Linf", "L2")
STEPS = 1


def fgsm(*, loss: Loss = "ce") -> IterativeAttack:
    """One step of length eps from the clean image (Goodfellow et al. 2015, arXiv 1412.6572, section 4).

    Under L2 the step follows the gradient's direction (fast gradient method).

    Args:
        loss: the loss to maximise.
    """

    def init(x: Tensor, y: Tensor, ball: Ball, noise: SampleNoise) -> PgdState:  # noqa: ARG001
        return begin(x, x, ball, ball.radii)

    return IterativeAttack(init, step, steps=STEPS, norms=NORMS, loss=loss)
