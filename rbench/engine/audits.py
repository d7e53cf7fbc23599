"""The audits of a run: what does not depend on the radius is measured once for each defended model, the rest once for each radius."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import nn

from rbench.engine.answers import FirstAnswers
from rbench.engine.audit import Audit, audit
from rbench.engine.defended import DefendedModel
from rbench.engine.gradient_audit import GradientAudit, audit_gradients
from rbench.engine.points import SAMPLES, Few, loss_change
from rbench.engine.proposing import Proposers
from rbench.engine.surrogates import Trials
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise


class Measurements(NamedTuple):
    """What was measured of a defended model before an attack.

    Attributes:
        audit: its properties under one radius.
        loss_change: mean change of the margin over 100 uniform points of the ball around a few images, the noise being the same, relative
            to the mean margin; None where the same noise gives other logits.
        gradients: of its gradient, whatever the radius.
        first: its first answers, to ask for again at the end.
    """

    audit: Audit
    loss_change: float | None
    gradients: GradientAudit
    first: FirstAnswers


@dataclass
class Audits:
    """Measures each defended model once for each radius, seed and set of samples; one that is refused is measured again each time.

    Attributes:
        trials: of the stand-ins.
        proposers: backbones for attacks.
    """

    trials: Trials = field(default_factory=Trials)
    proposers: Proposers = field(default_factory=Proposers)
    _made: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    _alive: list[nn.Module] = field(default_factory=list)

    def of(
        self, model: DefendedModel, stand_in: nn.Module | None, sample: Batch, noise: Noise, ball: Ball, size: int
    ) -> Measurements:
        """What was measured of a defended model.

        Args:
            model: the defended model, with the stand-in if there is one.
            stand_in: what BPDA differentiates in place of the purifier.
            sample: the samples to audit on.
            noise: the root of the cell's randomness.
            ball: with one radius.
            size: images that the attack or the judge shows together at most.

        Raises:
            InputError: a label is no class.
            CellFailed: the defended model cannot be judged.
        """
        parts = [part for part in (model.purifier, model.backbone, stand_in) if part is not None]
        # `id` may give a new object the number of a deleted one, so the audited modules are kept alive.
        few = sample.at(slice(SAMPLES))
        whole = (*map(id, parts), stand_in is None, noise.seed, tuple(few.ids.tolist()), float(few.x.sum()))
        here = (*whole, ball.norm, float(ball.eps), size, tuple(sample.ids.tolist()), float(sample.x.sum()))
        if here not in self._made:
            seen, first = audit(model, sample, noise, ball, size)
            same_shape = seen.global_generator or seen.batch_dependent
            if whole not in self._made:
                known = {"reproducible": seen.reproducible, "same_shape": same_shape}
                self._made[whole] = audit_gradients(model, few, noise, **known)
            change = loss_change(model, Few(few, noise, same_shape), ball) if seen.reproducible else None
            self._made[here] = Measurements(seen, change, self._made[whole], first)
            self._alive += parts
        found: Measurements = self._made[here]
        return found
