"""The audits of a run: each defended model is measured once under a radius, and the result holds for every attack on it."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from rbench.engine.audit import Audit, audit
from rbench.engine.defended import DefendedModel
from rbench.engine.gradient_audit import GradientAudit, audit_gradients
from rbench.engine.surrogates import Trials
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise


@dataclass
class Audits:
    """Measures each defended model once for each radius, seed and set of samples; one that is refused is measured again each time.

    Attributes:
        trials: of the stand-ins.
    """

    trials: Trials = field(default_factory=Trials)
    _made: dict[tuple[Any, ...], tuple[Audit, GradientAudit]] = field(default_factory=dict)
    _alive: list[nn.Module] = field(default_factory=list)

    def of(
        self,
        model: DefendedModel,
        stand_in: nn.Module | None,
        sample: Batch,
        noise: Noise,
        ball: Ball,
    ) -> tuple[Audit, GradientAudit]:
        """The audit of a defended model and that of its gradient.

        Args:
            model: the defended model, with the stand-in if there is one.
            stand_in: what BPDA differentiates in place of the purifier.
            sample: the samples to audit on.
            noise: the root of the cell's randomness.
            ball: with one radius.

        Raises:
            InputError: a label is no class.
            CellFailed: the defended model cannot be judged.
        """
        parts = [part for part in (model.purifier, model.backbone, stand_in) if part is not None]
        # `id` may give a new object the number of a deleted one, so the audited modules are kept alive.
        looked_at = (tuple(sample.ids.tolist()), float(sample.x.sum()), noise.seed, ball.norm, float(ball.eps))
        key = (*map(id, parts), stand_in is None, *looked_at)
        if key not in self._made:
            seen = audit(model, sample, noise)
            self._made[key] = seen, audit_gradients(model, sample, noise, ball, reproducible=seen.reproducible)
            self._alive += parts
        return self._made[key]
