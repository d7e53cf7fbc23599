"""Whether a stand-in for BPDA is of use: it is tried against the identity before the attack, on the loss of the real defended model."""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from rbench.attacks.pgd import steepest
from rbench.engine.defended import DefendedModel
from rbench.engine.oracle import Oracle
from rbench.engine.parts import content
from rbench.engine.told import Told, samples_hash
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.losses import margin
from rbench.threat.noise import Noise, SampleNoise

SAMPLES = 16
"""Most samples that a stand-in is tried on."""
RANDOM_SAMPLES, RANDOM_DRAWS = 8, 4
"""The same for a random defence, and the draws that gradient and loss are averaged over there."""
STEPS = (0.25, 1.0)
"""Lengths of the step along the gradient, relative to the radius: a purifier that rounds does not feel small ones."""
LEAST = 0.25
"""A stand-in under which the loss rises less than this share of what it rises under the identity misleads."""
_FIRST_DRAW = 8
"""Of the role `audit`; those before it belong to the audits."""


@dataclass(frozen=True)
class Trial:
    """What one step along the gradient of a stand-in does to the margin of the defended model, beside one of the identity.

    Attributes:
        rise: mean rise of the margin along the stand-in's gradient, where it compares worse: on images of the ball or on clean ones.
        identity: the same along the identity's, on the same images.
        misleads: the margin rises along the identity's, and along the stand-in's it does not, or less than `LEAST` of that.
        kept: the suite names the stand-in, so it stays.
    """

    rise: float
    identity: float
    misleads: bool
    kept: bool

    @property
    def dropped(self) -> bool:
        """Whether the identity takes its place."""
        return self.misleads and not self.kept

    def facts(self) -> dict[str, Any]:
        """For the record: what was found, in words, and whether the attack goes along a stand-in that misleads."""
        rises = f"one step along its gradient changes the margin by {self.rise:+.3g}, along the identity's by {self.identity:+.3g}"
        state = "dropped" if self.dropped else "misleads, kept since it was asked for" if self.misleads else "tried"
        return {"surrogate": f"{state}: {rises}", "stand_in_misleads": self.misleads and self.kept}


def try_stand_in(
    model: DefendedModel, sample: Batch, noise: Noise, ball: Ball, *, random: bool, kept: bool = False
) -> Trial:
    """Tries the stand-in of a defended model against the identity; the passes are not counted as the attack's.

    It is tried on uniform points of the ball as well as on the clean images, since a purifier can tell files from points of an attack.

    Args:
        model: the defended model, with a stand-in.
        sample: of which the first 16 (8 of a random defence) are used.
        noise: the root of the cell's randomness.
        ball: with one radius.
        random: the defence is; gradient and loss are then means over 4 draws.
        kept: the suite names the stand-in.

    Raises:
        CellFailed: the purifier returned no images of this shape.
    """
    spent = replace(model.meter)
    few = sample.at(slice(RANDOM_SAMPLES if random else SAMPLES))
    moved = ball.uniform(few.x, noise.of("audit", few.ids, few.device, draw=_FIRST_DRAW))
    draws = range(_FIRST_DRAW + 1, _FIRST_DRAW + 1 + (RANDOM_DRAWS if random else 1))
    models = (model, model.with_stand_in(None))
    rises = [[_rise(one, start, few, noise, ball, draws) for one in models] for start in (moved, few.x)]
    vars(model.meter).update(vars(spent))
    misled = [(own, other) for own, other in rises if other > 0 and not own >= LEAST * other]
    own, other = min(misled or rises, key=lambda pair: pair[0] - pair[1])
    return Trial(own, other, bool(misled), kept)


def _rise(model: DefendedModel, start: Tensor, few: Batch, noise: Noise, ball: Ball, draws: range) -> float:
    """The mean rise of the margin after a step along BPDA's gradient, of the better length."""
    seen = [noise.of("audit", few.ids, few.device, draw=draw) for draw in draws]
    gradient = torch.stack([_gradient(model, start, few.y, noise, replace(one)) for one in seen]).mean(0)
    direction, radius = steepest(gradient.double(), ball.norm), float(ball.eps)

    def height(points: Tensor) -> float:
        with torch.no_grad():
            return float(torch.stack([margin(model(points, replace(one)), few.y) for one in seen]).double().mean())

    before = height(start)
    return max(height(ball.project(start.double() + size * radius * direction, few.x)) - before for size in STEPS)


def _gradient(model: DefendedModel, x: Tensor, y: Tensor, noise: Noise, drawn: SampleNoise) -> Tensor:
    """BPDA's gradient of the margin under one draw [B, C, H, W]; zeros where the stand-in gives none."""
    with torch.enable_grad():
        point = x.detach().clone().requires_grad_()
        total = margin(Oracle(model, "bpda", eot=1, noise=noise).forward(point, drawn), y).sum()
        (gradient,) = torch.autograd.grad(total, point, allow_unused=True) if total.requires_grad else (None,)
    return torch.zeros_like(x) if gradient is None else gradient.nan_to_num(0.0, 0.0, 0.0)


@dataclass
class Trials:
    """Tries each stand-in once for each defended model, radius, seed and set of samples."""

    _made: dict[tuple[Any, ...], Trial] = field(default_factory=dict)
    _alive: list[nn.Module] = field(default_factory=list)

    def of(
        self,
        model: DefendedModel,
        named: nn.Module | None,
        sample: Batch,
        noise: Noise,
        ball: Ball,
        *,
        random: bool,
        told: Told | None = None,
    ) -> Trial | None:
        """The trial of the stand-in; None where the model has none but the identity.

        Args:
            model: the defended model, with the stand-in.
            named: the stand-in that the suite names; None if it is the purifier's own.
            sample: the samples to try it on.
            noise: the root of the cell's randomness.
            ball: with one radius.
            random: the defence is.
            told: what earlier runs have measured of the model with this stand-in.

        Raises:
            CellFailed: the purifier returned no images of this shape.
        """
        if model.surrogate is None:
            return None
        parts = [part for part in (model.purifier, model.backbone, named) if part is not None]
        few, radius = sample.at(slice(SAMPLES)), float(ball.eps)
        key = (*map(id, parts), named is None, random, content(few), noise.seed, ball.norm, radius)
        if key not in self._made:
            known = {"norm": ball.norm, "eps": radius.hex(), "samples": samples_hash(few), "random": random}
            self._made[key] = (told or Told()).of(
                "trial",
                known,
                Trial,
                lambda: try_stand_in(model, few, noise, ball, random=random, kept=named is not None),
            )
            self._alive += parts  # `id` may give a new object the number of a deleted one
        return self._made[key]
