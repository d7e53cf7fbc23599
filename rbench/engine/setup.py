"""A cell ready to be attacked: its defended model is audited, and gradient path, EOT and draws follow from what was measured."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import nn

from rbench.engine.answers import FirstAnswers
from rbench.engine.audit import Audit
from rbench.engine.audits import Audits, Measurements
from rbench.engine.defended import DefendedModel, stand_in_of, state_hash
from rbench.engine.gradient_audit import GradientAudit
from rbench.engine.inventory import Inventory, take_inventory
from rbench.engine.judge import Judge
from rbench.engine.ladder import choose
from rbench.engine.oracle import Oracle
from rbench.engine.proposing import Proposing
from rbench.engine.surrogates import Trial
from rbench.engine.unattacked import UnattackedVerdicts
from rbench.errors import CellFailed, InputError
from rbench.process_state import kept
from rbench.results.flags.gradient_trust import distrusted
from rbench.suite.cell import Decide, GradientChoice, Precision
from rbench.threat.attack import Attack, ExternalAttack
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.displacements import LATENT
from rbench.threat.ladder import Ladder, Rung
from rbench.threat.noise import Noise
from rbench.threat.terms import GradientPath, Knows


@dataclass(frozen=True)
class Protocol:
    """How a cell is attacked and judged.

    Attributes:
        ball: where the attacker may go, with one radius.
        gradient: the gradient path; `auto` takes `exact`, or `checkpointed` where the purifier has stages, if that gradient is of use, else
            `bpda`.
        eot: draws averaged per query of a random defence.
        draws: score draws of a random defence, which value an image.
        select_draws: other draws of it, by which images are chosen.
        decide: how score draws become a verdict.
        seed: the root of all randomness.
        batch_size: samples at once; changes only the speed of our own attacks.
        precision: in which our own attacks ask the backbone; judged is in float32.
    """

    ball: Ball
    gradient: GradientChoice = "auto"
    eot: int = 1
    draws: int = 16
    select_draws: int = 64
    decide: Decide = "mean"
    seed: int = 0
    batch_size: int = 64
    precision: Precision = "fp32"


@dataclass(frozen=True)
class Setup:
    """Everything that evaluating samples needs, after the audit.

    `weights` is the hash of all parameters and buffers before it, `inventory` the rest of what may not change; `first` are the first
    answers of the model; `loss_change` is what the margin changes by in the ball; `rungs` are those of a ladder, chosen by what was
    measured; `unattacked` are the verdicts on images without an attack; `trial` is that of the stand-in, where BPDA has one to go along;
    `proposing` is the backbone that attacks ask.
    """

    model: DefendedModel
    attack: Attack
    protocol: Protocol
    audit: Audit
    path: GradientPath
    oracle: Oracle
    judge: Judge
    noise: Noise
    weights: str
    inventory: Inventory
    gradients: GradientAudit
    loss_change: float | None
    first: FirstAnswers
    rungs: tuple[Rung, ...] = ()
    unattacked: UnattackedVerdicts = field(default_factory=UnattackedVerdicts)
    trial: Trial | None = None
    proposing: Proposing | None = None

    @property
    def measured(self) -> Measurements:
        """All that was measured of the defended model."""
        return Measurements(self.audit, self.loss_change, self.gradients, self.first)

    @property
    def chooser(self) -> Judge:
        """As the judge, but asks the faster backbone if that is the same function: it chooses among points and decides about none."""
        # Along the blind path nothing is chosen by answers of the defended model, and the attack may ask another one.
        if self.proposing is None or self.path == "blind" or self.protocol.precision != "fp32":
            return self.judge
        return replace(self.judge, model=self.judge.model.with_backbone(self.proposing.backbone))

    @property
    def random(self) -> bool:
        """Whether the defended model was seen to be random."""
        return self.audit.random

    @property
    def knows(self) -> Knows:
        """What the attacker uses: along the blind path no attack uses the gradients of the defended model."""
        return "blind" if self.path == "blind" and self.attack.knows == "white-box" else self.attack.knows

    @property
    def tolerance(self) -> float:
        """By how much rounding may take a pixel of a proposal out of the ball; see `summed`."""
        return max(attack.tolerance for attack in (self.attack, *(rung.attack for rung in self.rungs)))


def set_up(
    model: DefendedModel,
    attack: Attack,
    protocol: Protocol,
    sample: Batch,
    source: DefendedModel | None = None,
    stand_in: nn.Module | None = None,
    audits: Audits | None = None,
    unattacked: UnattackedVerdicts | None = None,
) -> Setup:
    """Audits a defended model and fixes gradient path, EOT and draws by what was measured.

    Args:
        model: the defended model.
        attack: the attack.
        protocol: the cell's protocol.
        sample: the samples to audit on.
        source: the model to craft on, for a transfer attack.
        stand_in: what BPDA differentiates in place of the purifier; its own surrogate if it has one and it does not mislead, else the
            identity, if not given.
        audits: those of the run, so that what was measured for another attack is not measured again.
        unattacked: those verdicts of the run, so that they are not asked for again.

    Raises:
        InputError: the attack cannot do what the protocol asks, or not with this purifier.
        CellFailed: the defended model cannot be judged.
    """
    refuse_mismatch(attack, protocol, model)
    if stand_in is not None:
        model = model.with_stand_in(stand_in_of(stand_in.eval()))
    if source is not None:
        source.meter = model.meter  # what crafting costs is part of the attack's cost
    weights = state_hash(model)
    inventory = take_inventory(model.purifier, model.backbone, model.owner)
    noise, ball = Noise(protocol.seed), protocol.ball
    audits = audits or Audits()
    trial: Trial | None = None
    rungs: tuple[Rung, ...] = ()
    with inventory.unchanged("while it was audited"), kept(model.owner):
        made = audits.of(model, stand_in, sample, noise, ball, shown_together(attack, protocol.batch_size))
        seen, gradients = made.audit, made.gradients
        model.known.draws_globally = seen.global_generator
        path: GradientPath = (
            "blind" if source is not None else _path(attack, protocol.gradient, seen, staged=model.staged)
        )
        eot = protocol.eot if seen.random and path != "blind" else 1
        if attack.asks_gradient and (path == "bpda" or isinstance(attack, Ladder)):
            trial = audits.trial(model, stand_in, sample, noise, ball, made)
            model = model.with_stand_in(None) if trial and trial.dropped else model
        if isinstance(attack, Ladder):
            trusted = distrusted({**asdict(seen), **asdict(gradients), **(trial.facts() if trial else {})}) is None
            hard = audits.hard_label(model, noise, made)
            rungs = choose(attack, model, seen, eot, ball.norm, hard_label=hard, path=path, trusted=trusted)
            eot = max(rung.eot for rung in rungs)
        asked = source or model
        # Third-party code is run as it would be by hand.
        proposing = (
            audits.proposers.of(asked, sample, protocol.precision) if attack.driven else Proposing(asked.backbone)
        )
    draws = (protocol.draws, protocol.select_draws) if seen.random else (1, 1)
    stacked = not seen.batch_dependent
    judge = Judge(model, ball, *draws, protocol.decide, noise, protocol.batch_size, seen.random, stacked)
    oracle = Oracle(asked.with_backbone(proposing.backbone), path, eot=eot, noise=noise)
    fitted = attack.fit(seen.classes)
    known = unattacked or UnattackedVerdicts()
    measured = (inventory, gradients, made.loss_change, made.first)
    beside = (rungs, known, trial, proposing)
    return Setup(model, fitted, protocol, seen, path, oracle, judge, noise, weights, *measured, *beside)


def shown_together(attack: Attack, batch_size: int) -> int:
    """How many images the attack or the judge shows the defended model together at most.

    Args:
        attack: third-party code and ladders have a batch size of their own.
        batch_size: of the judge and of our own attacks.
    """
    return max(batch_size, attack.batch_size) if isinstance(attack, ExternalAttack | Ladder) else batch_size


def _path(attack: Attack, chosen: GradientChoice, seen: Audit, *, staged: bool) -> GradientPath:
    """The path asked for; for `auto` the exact gradient, stage by stage where there are stages, if it is of use, else BPDA.

    It is of no use where it does not reach the input, or is zero or not finite on half of the samples of either audited set.
    """
    if chosen != "auto":
        return chosen
    if "bpda" in attack.paths and not seen.differentiable:
        return "bpda"
    return "checkpointed" if staged and "checkpointed" in attack.paths else "exact"


@contextmanager
def watched(setup: Setup) -> Iterator[None]:
    """A block that runs the defended model, which must be afterwards as it was before the audit; so must the process.

    Parameters, buffers and modes are hashed, see `state_hash`; hooks, methods, attributes and classes are in the inventory.

    Raises:
        CellFailed: names what changed.
    """
    with setup.inventory.unchanged("during the attack"), kept(setup.model.owner):
        yield
        _refuse_other_numbers(setup)


def refuse_changed(setup: Setup) -> None:
    """Raises CellFailed if the defended model, a class, torch or rbench is not as it was before the audit; undoes patches."""
    setup.inventory.require_unchanged("during the attack")
    _refuse_other_numbers(setup)


def _refuse_other_numbers(setup: Setup) -> None:
    if state_hash(setup.model) != setup.weights:
        raise CellFailed("the parameters or buffers of the defended model changed during the attack")


def refuse_mismatch(attack: Attack, protocol: Protocol, model: DefendedModel) -> None:
    """Raises InputError where an attack cannot do what the protocol asks, or not with this purifier."""
    norm = protocol.ball.norm
    if norm not in attack.norms:
        raise InputError(f"the attack works under {', '.join(attack.norms)} (got {norm})")
    if protocol.eot > 1 and not attack.driven:
        raise InputError(f"eot is for rbench's own attacks (got {protocol.eot}); use the attack's own eot_iter")
    if protocol.precision != "fp32" and not attack.driven:
        raise InputError(f"precision is for rbench's own attacks (got {protocol.precision}); leave it out")
    if protocol.gradient not in attack.gradients:
        raise InputError(f"the attack takes gradient: {' or '.join(attack.gradients)} (got {protocol.gradient})")
    if attack.loss in LATENT and not model.encodes:
        raise InputError(
            f"purifier '{model.name}' has no encode(x), whose code this attack moves; keep the attack to purifiers that have one with "
            "`purifiers: [...]`"
        )


def describe(setup: Setup) -> dict[str, Any]:
    """The audit as JSON values, with how the attack was changed to fit the number of classes."""
    attacks = [setup.attack, *(rung.attack for rung in setup.rungs)]
    notes = dict[str, str]()
    for attack in attacks:
        for name, text in attack.notes(setup.audit.classes).items():
            notes[name] = text if text in notes.get(name, text) else f"{notes[name]}; {text}"
    loss = {} if setup.attack.loss is None else {"loss": setup.attack.loss}
    tried = {} if setup.trial is None else setup.trial.facts()
    faster = {} if setup.proposing is None else setup.proposing.facts()
    measured = {**asdict(setup.audit), **asdict(setup.gradients), "loss_change": setup.loss_change}
    return {**measured, **tried, **faster, **notes, **loss}
