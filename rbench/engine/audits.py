"""The audits of a run: each measurement is made once for what it depends on, be it the defended model, the radius or the batch size."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from torch import nn

from rbench.engine.answers import FirstAnswers
from rbench.engine.audit import Audit, audit
from rbench.engine.defended import DefendedModel, state_hash
from rbench.engine.gradient_audit import GradientAudit, audit_gradients, bpda_cosine
from rbench.engine.ladder import tells_the_winner_alone
from rbench.engine.parts import Parts, content
from rbench.engine.points import SAMPLES, Few, loss_change
from rbench.engine.proposing import Proposers
from rbench.engine.surrogates import Trial, Trials
from rbench.engine.told import Document, Kept, Told, samples_hash
from rbench.engine.told_audit import UnderRadius, keep_audit, read_audit
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

Found = TypeVar("Found")


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


@dataclass(frozen=True)
class _Cosine:
    """See `GradientAudit.bpda_cosine`."""

    value: float | None


@dataclass
class Audits:
    """Measures each defended model once for what a measurement depends on; one that is refused is measured again each time.

    Attributes:
        kept: what other runs and processes have measured of the model that is asked about; None where nothing is kept.
        names: of the stand-ins that a suite names, by the `id` of the module; of others nothing is kept.
        trials: of the stand-ins.
        proposers: backbones for attacks.
    """

    kept: Kept | None = None
    names: dict[int, Document] = field(default_factory=dict)
    trials: Trials = field(default_factory=Trials)
    proposers: Proposers = field(default_factory=Proposers)
    _made: dict[Hashable, Any] = field(default_factory=dict)
    _parts: dict[Hashable, Parts] = field(default_factory=dict)
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
        here = ("audit", *_ids(model), noise.seed, ball.norm, float(ball.eps), size, content(sample))
        found = self._once(here, lambda: self._under_radius(model, sample, noise, ball, size))
        # `id` may give a new object the number of a deleted one, so the audited modules are kept alive.
        self._alive += [part for part in (model.purifier, model.backbone, stand_in) if part is not None]
        return Measurements(
            found.audit, found.loss_change, self._gradients(model, stand_in, sample, noise, found), found.first
        )

    def trial(
        self, model: DefendedModel, named: nn.Module | None, sample: Batch, noise: Noise, ball: Ball, made: Measurements
    ) -> Trial | None:
        """The trial of the stand-in, see `Trials.of`.

        Args:
            model: the defended model, with the stand-in.
            named: the stand-in that the suite names; None if it is the purifier's own.
            sample: the samples to try it on.
            noise: the root of the cell's randomness.
            ball: with one radius.
            made: what was measured of the model.

        Raises:
            CellFailed: the purifier returned no images of this shape.
        """
        told = self._earlier(model, named, noise, made.first)
        return self.trials.of(model, named, sample, noise, ball, random=made.audit.random, told=told)

    def hard_label(self, model: DefendedModel, noise: Noise, made: Measurements) -> bool:
        """Whether the outputs are hard labels, see `tells_the_winner_alone`; the passes are not counted as the attack's.

        Args:
            model: the defended model.
            noise: the root of the cell's randomness.
            made: what was measured of the model, on the samples that it is asked about.
        """
        few = made.first.clean.few
        told = self._earlier(model, None, noise, made.first)

        def measured() -> bool:
            spent = replace(model.meter)
            said = tells_the_winner_alone(model, few, noise)
            vars(model.meter).update(vars(spent))
            return said

        key = ("hard label", *_ids(model), noise.seed, content(few))
        return self._once(key, lambda: told.of("hard label", {"samples": samples_hash(few)}, bool, measured))

    def _once(self, key: Hashable, make: Callable[[], Found]) -> Found:
        if key not in self._made:
            self._made[key] = make()
        found: Found = self._made[key]
        return found

    def _under_radius(self, model: DefendedModel, sample: Batch, noise: Noise, ball: Ball, size: int) -> UnderRadius:
        key = {}
        if self.kept is not None:
            radius = {"norm": ball.norm, "eps": float(ball.eps).hex(), "size": size}
            key = {"what": "audit", **self._about(model, noise), **radius, "samples": samples_hash(sample)}
            found = read_audit(self.kept, key, model, sample, noise, ball, size)
            if found is not None:
                return found
        of_model = (*_ids(model), noise.seed)
        try:
            seen, first = audit(model, sample, noise, ball, size, self._parts.setdefault(of_model, Parts()))
        except BaseException:  # it is refused, maybe only this time: nothing that it answered is believed again
            del self._parts[of_model]
            raise
        change = self._change(model, sample, noise, ball, seen) if seen.reproducible else None
        found = UnderRadius(seen, change, first)
        if self.kept is not None:
            keep_audit(self.kept, key, found, size)
        return found

    def _change(self, model: DefendedModel, sample: Batch, noise: Noise, ball: Ball, seen: Audit) -> float | None:
        few = Few(sample.at(slice(SAMPLES)), noise, _same_shape(seen))
        key = ("loss change", *_ids(model), noise.seed, ball.norm, float(ball.eps), content(few.batch), few.same_shape)
        return self._once(key, lambda: loss_change(model, few, ball))

    def _gradients(
        self, model: DefendedModel, stand_in: nn.Module | None, sample: Batch, noise: Noise, found: UnderRadius
    ) -> GradientAudit:
        few, known = sample.at(slice(SAMPLES)), {"same_shape": _same_shape(found.audit)}
        whole = {**known, "reproducible": found.audit.reproducible}
        samples = {"samples": samples_hash(few)} if self.kept is not None else {}
        here = (*_ids(model), noise.seed, content(few), *whole.values())
        told, of_stand_in = (self._earlier(model, one, noise, found.first) for one in (None, stand_in))
        gradients = self._once(
            ("gradients", *here),
            lambda: told.of(
                "gradients", {**samples, **whole}, GradientAudit, lambda: audit_gradients(model, few, noise, **whole)
            ),
        )
        cosine = self._once(
            ("cosine", *here, None if stand_in is None else id(stand_in)),
            lambda: of_stand_in.of(
                "cosine", {**samples, **known}, _Cosine, lambda: _Cosine(bpda_cosine(model, few, noise, **known))
            ),
        )
        return replace(gradients, bpda_cosine=cosine.value)

    def _earlier(self, model: DefendedModel, stand_in: nn.Module | None, noise: Noise, first: FirstAnswers) -> Told:
        """What other runs have measured; nothing of a model that gives other answers under the same noise, which none could be told by."""
        if self.kept is None or not first.reproducible or (stand_in is not None and id(stand_in) not in self.names):
            return Told()
        about = self._about(model, noise)
        if stand_in is not None:
            about |= {"stand_in": self.names[id(stand_in)], "weights of the stand-in": state_hash(stand_in)}
        return Told(about, first.logits[1], self.kept)

    def _about(self, model: DefendedModel, noise: Noise) -> dict[str, Any]:
        weights = self._once(("weights", *_ids(model)), lambda: state_hash(model))
        return {"weights": weights, "seed": noise.seed}


def _ids(model: DefendedModel) -> tuple[int, int]:
    return id(model.purifier), id(model.backbone)


def _same_shape(seen: Audit) -> bool:
    return seen.global_generator or seen.batch_dependent
