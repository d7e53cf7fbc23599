"""One attack on one defended model, chunk by chunk: propose, check, judge."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rbench.engine.audit import Audit
from rbench.engine.audits import Audits
from rbench.engine.defended import DefendedModel, stand_in_of, state_hash
from rbench.engine.driver import Proposals, fit_classes
from rbench.engine.gradient_audit import GradientAudit
from rbench.engine.judge import Judge
from rbench.engine.ladder import choose, climb
from rbench.engine.oracle import Oracle
from rbench.engine.propose import Samples, propose
from rbench.errors import CellFailed, InputError
from rbench.suite.cell import Decide, GradientChoice
from rbench.threat.attack import Attack, ExternalAttack, IterativeAttack, Ladder, Rung
from rbench.threat.ball import to_eight_bits, uniform_in_ball
from rbench.threat.displacements import LATENT
from rbench.threat.noise import Noise
from rbench.threat.terms import ANY_PATH, GradientPath, Norm

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Protocol:
    """How a cell is attacked and judged.

    Attributes:
        norm: norm of the ball.
        eps: its radius on the [0, 1] pixel scale.
        gradient: the gradient path; `auto` takes `exact`, or `checkpointed` where the purifier has stages, if that tells the attacker
            anything, else `bpda`.
        eot: draws averaged per query of a random defence.
        draws: draws of a random defence that are judged.
        decide: how draws become a verdict.
        seed: the root of all randomness.
        batch_size: samples at once; changes only the speed of our own attacks.
    """

    norm: Norm
    eps: float
    gradient: GradientChoice = "auto"
    eot: int = 1
    draws: int = 8
    decide: Decide = "mean"
    seed: int = 0
    batch_size: int = 64


@dataclass(frozen=True)
class Setup:
    """Everything a chunk needs, after the audit.

    `weights` is the hash of all parameters and buffers before it; `rungs` are those of a ladder, chosen by what was found.
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
    gradients: GradientAudit
    rungs: tuple[Rung, ...] = ()

    @property
    def random(self) -> bool:
        """Whether the defended model was seen to be random."""
        return self.audit.random


def set_up(
    model: DefendedModel,
    attack: Attack,
    protocol: Protocol,
    sample: tuple[Tensor, Tensor, Tensor],
    source: DefendedModel | None = None,
    stand_in: nn.Module | None = None,
    audits: Audits | None = None,
) -> Setup:
    """Audits a defended model and fixes gradient path, EOT and draws by what was found.

    Args:
        model: the defended model.
        attack: the attack.
        protocol: the cell's protocol.
        sample: (images, labels, ids) to audit on.
        source: the model to craft on, for a transfer attack.
        stand_in: what BPDA differentiates in place of the purifier; its own surrogate if it has one, else the identity, if not given.
        audits: those of the run, so that what was measured for another attack is not measured again.

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
    noise = Noise(protocol.seed)
    seen, gradients = (audits or Audits()).of(model, stand_in, sample, noise, (protocol.norm, protocol.eps))
    path: GradientPath = "blind" if source is not None else _path(attack, protocol.gradient, seen, staged=model.staged)
    eot = protocol.eot if seen.random and path != "blind" else 1
    rungs: tuple[Rung, ...] = ()
    if isinstance(attack, Ladder):
        rungs = choose(attack, model, seen, sample[0], sample[2], noise, eot, protocol.norm)
        eot = max(rung.eot for rung in rungs)
    draws = protocol.draws if seen.random else 1
    judge = Judge(model, protocol.norm, protocol.eps, draws, protocol.decide, noise, protocol.batch_size)
    oracle = Oracle(source or model, path, eot=eot, noise=noise)
    if isinstance(attack, IterativeAttack):
        attack = fit_classes(attack, seen.classes)
    return Setup(model, attack, protocol, seen, path, oracle, judge, noise, weights, gradients, rungs)


def _path(attack: Attack, chosen: GradientChoice, seen: Audit, *, staged: bool) -> GradientPath:
    """The path asked for; for `auto` the exact gradient, stage by stage where there are stages, if it tells the attacker anything."""
    if chosen != "auto":
        return chosen
    takes = (
        ANY_PATH if isinstance(attack, Ladder) else attack.gradients
    )  # a ladder refuses a choice, and its rungs follow what is best
    if "bpda" in takes and not seen.differentiable:
        return "bpda"
    return "checkpointed" if staged and "checkpointed" in takes else "exact"


def refuse_changed(setup: Setup) -> None:
    """Raises CellFailed if a parameter, a buffer or a mode is not as it was before the audit."""
    if state_hash(setup.model) != setup.weights:
        raise CellFailed("the parameters or buffers of the defended model changed during the attack")


def refuse_mismatch(attack: Attack, protocol: Protocol, model: DefendedModel) -> None:
    """Raises InputError where an attack cannot do what the protocol asks, or not with this purifier."""
    if protocol.norm not in attack.norms:
        raise InputError(f"the attack works under {', '.join(attack.norms)} (got {protocol.norm})")
    if isinstance(attack, ExternalAttack) and protocol.eot > 1:
        raise InputError(f"eot is for rbench's own attacks (got {protocol.eot}); use the attack's own eot_iter")
    if protocol.gradient not in attack.gradients:
        raise InputError(f"the attack takes gradient: {' or '.join(attack.gradients)} (got {protocol.gradient})")
    if isinstance(attack, IterativeAttack) and attack.loss in LATENT and not model.encodes:
        raise InputError(
            f"purifier '{model.name}' has no encode(x), whose code this attack moves; keep the attack to purifiers that have one with "
            "`purifiers: [...]`"
        )


@dataclass(frozen=True)
class Evaluated:
    """The evaluated samples i..j of a cell: arrays with one row per sample, and counts."""

    arrays: Arrays
    counts: dict[str, float]


def evaluate_chunk(
    setup: Setup, x: Tensor, y: Tensor, ids: Tensor, on_done: Callable[[int], None] = lambda count: None
) -> Evaluated:
    """Attacks and judges some samples.

    Args:
        setup: the audited cell.
        x: [N, C, H, W] float32 clean images.
        y: [N] int64 true labels.
        ids: [N] int64 sample ids.
        on_done: called with the number of samples that are done.

    Raises:
        CellFailed: an image, a logit or a proposal breaks a rule of judging.
    """
    untouched = x.clone()
    calm = judge_clean(setup, x, ids)
    share = (calm["clean_select"] == y[:, None]).float().mean(1)
    proposals, tolerance, rungs = _propose(setup, Samples(x, y, ids, share), on_done)
    if not torch.equal(x, untouched):
        raise CellFailed("the attack or the model changed the clean images in place")
    tensors = {
        "sample": ids,
        "label": y,
        **calm,
        **judge_proposals(setup, proposals.x, x, ids, tolerance),
        "loss_first": proposals.loss_first,
        "loss_last": proposals.loss_last,
        "queries": proposals.queries,
        "zero_gradients": proposals.zero_gradients,
        "zero_at_start": proposals.zero_at_start,
        "passed_by": proposals.passed_by,
        "images": proposals.x,
    }
    counts: dict[str, float] = {"proposed": proposals.seen_fooled, "confirmed": proposals.confirmed, **rungs}
    return Evaluated({name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}, counts)


def judge_clean(setup: Setup, x: Tensor, ids: Tensor) -> dict[str, Tensor]:
    """What the judge says of images without an attack and under uniform noise: classes [N, draws] by name.

    Raises:
        CellFailed: a logit is not finite.
    """
    judge = setup.judge
    select = judge.predictions(x, x, ids, "select")
    return {
        "clean_select": select,
        "clean_predictions": judge.predictions(x, x, ids, "score") if setup.random else select,
        "noise_predictions": judge.predictions(noisy(setup, x, ids), x, ids, "score"),
    }


def judge_proposals(setup: Setup, images: Tensor, x: Tensor, ids: Tensor, tolerance: float) -> dict[str, Tensor]:
    """What the judge says of proposals, once they are admitted: classes [N, draws] by name, and how far they are from `x`.

    Raises:
        CellFailed: a proposal breaks a rule, or a logit is not finite.
    """
    judge, protocol = setup.judge, setup.protocol
    moved = judge.admit(images, x, ids, tolerance)
    select = judge.predictions(images, x, ids, "select")
    rounded = to_eight_bits(images, x, protocol.eps, protocol.norm)
    return {
        "select_predictions": select,
        "robust_predictions": judge.predictions(images, x, ids, "score") if setup.random else select,
        "robust_8bit_predictions": judge.predictions(rounded, x, ids, "score"),
        "distance": moved,
    }


def noisy(setup: Setup, x: Tensor, ids: Tensor) -> Tensor:
    """Uniform noise in the ball: the null calibration that every attack must beat."""
    noise = setup.noise.of("calibration", ids, x.device)
    eps = torch.full((len(x),), setup.protocol.eps, dtype=torch.float64, device=x.device)
    return uniform_in_ball(x, eps, setup.protocol.norm, noise.normal(*x.shape[1:]), noise.uniform(*x.shape[1:]))


def _propose(
    setup: Setup, samples: Samples, on_done: Callable[[int], None]
) -> tuple[Proposals, float, dict[str, float]]:
    if isinstance(setup.attack, Ladder):
        return climb(setup.rungs, setup.judge, samples, setup.audit.classes, on_done)
    return *propose(setup.attack, setup.oracle, setup.judge, samples, setup.audit.classes, on_done), {}


def join(chunks: list[Evaluated]) -> Evaluated:
    """Chunks of one cell as one, rows in the order given."""
    arrays = {name: np.concatenate([c.arrays[name] for c in chunks]) for name in chunks[0].arrays}
    counts = {name: sum(c.counts.get(name, 0) for c in chunks) for name in chunks[0].counts}
    return Evaluated(arrays, counts)


def describe(setup: Setup) -> dict[str, Any]:
    """The audit as JSON values, with what the attack had to change for this number of classes."""
    found = {**asdict(setup.audit), **asdict(setup.gradients)}
    if isinstance(setup.attack, IterativeAttack):
        return {**found, **setup.attack.notes, "loss": setup.attack.loss}
    attacks = [setup.attack, *(rung.attack for rung in setup.rungs)]
    notes = [_notes(attack, setup.audit.classes) for attack in attacks]
    return {**found, **{name: text for note in notes for name, text in note.items()}}


def _notes(attack: Attack, classes: int) -> Mapping[str, str]:
    if isinstance(attack, Ladder):
        return {}
    return attack.notes if isinstance(attack, IterativeAttack) else attack.notes(classes)
