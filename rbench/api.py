"""The public functions: load a component, evaluate plain modules, read results."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from rbench.datasets.types import Dataset
from rbench.engine.audits import Audits
from rbench.engine.copies import own_copy
from rbench.engine.defended import DefendedModel
from rbench.engine.devices import resolve_device
from rbench.engine.inventory import refuse_patched
from rbench.engine.patches import of_judging
from rbench.engine.setup import Setup, describe
from rbench.engine.unattacked import UnattackedVerdicts
from rbench.errors import InputError
from rbench.process_state import NOTES
from rbench.purifiers.identity import Identity
from rbench.results import sample_columns as column
from rbench.results.flags.of_row import near_chance
from rbench.results.frames import read
from rbench.results.record import Figure, Flag, RungPart
from rbench.running.components import Loaded, make
from rbench.running.conclude import Finished, conclude
from rbench.running.prepare import protocol_under, ready
from rbench.running.span import run_span
from rbench.suite.asked import asked
from rbench.suite.cell import Decide, GradientChoice, Norm
from rbench.threat.attack import Attack
from rbench.threat.ball import Ball

of_judging()  # as it is before a user's purifier is made
__all__ = ["Evaluation", "evaluate", "load", "read"]


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    Attributes:
        standard_accuracy: without an attack, with its 95 % interval.
        noise_accuracy: under one uniform draw from the ball.
        robust_accuracy: under the attack.
        flags: doubts about the figures.
        gradient: the gradient path really used.
        audit: what was measured of the defended model.
        cost: forwards, backwards, purifier passes and queries, in images.
        samples: a row per sample.
        adversarial: [N, C, H, W] float32 proposals, on the CPU.
        result_hash: equal for equal outcomes.
        rungs: what each rung of a ladder did; empty for every other attack.
    """

    standard_accuracy: Figure
    noise_accuracy: Figure
    robust_accuracy: Figure
    flags: tuple[Flag, ...]
    gradient: str
    audit: dict[str, Any]
    cost: dict[str, int]
    samples: pd.DataFrame
    adversarial: Tensor
    result_hash: str
    rungs: tuple[RungPart, ...] = ()

    @property
    def flag_names(self) -> frozenset[str]:
        """The names of the flags."""
        return frozenset(flag.name for flag in self.flags)


def load(kind: str, name: str, params: Mapping[str, Any] | None = None, /, **more: Any) -> Any:
    """A component, ready to use: `rbench.load("purifier", "jpeg", quality=50)`.

    Purifiers and backbones are torch modules, backbones frozen. `head` gives a backbone another last layer, `classes` chooses some of a
    data set.

    Args:
        kind: `purifier`, `backbone`, `dataset` or `attack`.
        name: registry name, with the item after a colon for a source.
        params: its parameters as a map, e.g. those of a stored cell.
        **more: its parameters by keyword.

    Raises:
        InputError: it is unknown or broken, or refuses its parameters.
        MissingError: it needs a module or file that is not there.
    """
    return make(kind, name, {**(params or {}), **more})


def evaluate(
    backbone: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    purifier: nn.Module | None = None,
    attack: str | Attack = "pgd",
    norm: Norm = "Linf",
    eps: float | str | Fraction = "8/255",
    gradient: GradientChoice = "auto",
    stand_in: nn.Module | None = None,
    eot: int = 1,
    draws: int = 16,
    select_draws: int = 64,
    decide: Decide = "mean",
    seed: int = 0,
    batch_size: int = 64,
    device: str = "cpu",
    **params: Any,
) -> Evaluation:
    """Judges plain modules under one attack, by the rules of a suite but without files.

    Args:
        backbone: [0, 1] pixels [B, C, H, W] to logits [B, classes]; a copy of it is judged, where it can be copied.
        images: [N, C, H, W] float32 in [0, 1].
        labels: [N] int64 true classes.
        purifier: images to images of the same shape; the identity if not given.
        attack: registry name, e.g. `pgd`, or an attack object.
        norm: `Linf`, `L2` or `L1`.
        eps: radius on the [0, 1] pixel scale; text such as `8/255` is exact.
        gradient: `auto`, `exact`, `checkpointed`, `bpda` or `blind`.
        stand_in: what `bpda` differentiates in place of the purifier; its own surrogate if it has one, else the identity, if not given.
        eot: draws averaged per query of a random defence.
        draws: draws of a random defence that value an image; nothing is chosen by them.
        select_draws: other draws, by which the worst of several images is chosen.
        decide: `mean`, `majority` or `any` (the worst of the draws).
        seed: the root of all randomness.
        batch_size: samples at once; the results of rbench's own attacks do not depend on it.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; the modules are moved there, in eval mode and frozen.
        **params: parameters of a named attack.

    Raises:
        InputError: images, labels or parameters are wrong; one line, in the words that a suite gets.
        CellFailed: the defended model or the attack broke a rule of judging; names the samples.

    Warns:
        UserWarning: code of a third party changed the state of the process (default dtype, seed, ...), which was put back.
    """
    _check(images, labels)
    NOTES.take()  # what is told here is of this call
    place = resolve_device(device)
    terms = asked(
        attack if isinstance(attack, str) else None,
        images[0].numel(),
        norm=norm,
        eps=eps,
        gradient=gradient,
        stand_in=stand_in,
        eot=eot,
        draws=draws,
        select_draws=select_draws,
        decide=decide,
        seed=seed,
        batch_size=batch_size,
    )
    protocol = protocol_under(Ball(terms.norm, terms.eps.value), terms, terms.batch_size)
    refuse_patched("purifier" if purifier is not None else "backbone")
    made = _made(attack, params)
    own = own_copy(backbone) or backbone
    loaded = Loaded(
        dataset=Dataset(labels.cpu().numpy(), lambda ids: images[torch.from_numpy(ids)].cpu().numpy()),
        model=DefendedModel((purifier or Identity()).to(place), own.to(place)),
        attack=made,
        remake=lambda changes: None,
        audits=Audits(),
        unattacked=UnattackedVerdicts(),
        device=place,
        source=None if made.source is None else DefendedModel(Identity(), make("backbone", made.source).to(place)),
        stand_in=stand_in,
    )
    prepared = ready(loaded, protocol, np.arange(len(images)))
    size = made.chunk(batch_size)
    spans = [prepared.ids[start : start + size] for start in range(0, len(images), size)]
    finished = conclude(prepared, [run_span(prepared, span) for span in spans])
    for line in NOTES.take():
        warnings.warn(line, stacklevel=2)
    return _evaluation(prepared.setup, finished)


def _made(attack: str | Attack, params: dict[str, Any]) -> Attack:
    if not isinstance(attack, str):
        return attack
    made: Attack = make("attack", attack, params)
    return made


def _evaluation(setup: Setup, finished: Finished) -> Evaluation:
    outcome = finished.outcome
    columns = {name: list(c) if c.ndim > 1 else c for name, c in outcome.samples.items()}
    return Evaluation(
        standard_accuracy=outcome.summary.standard_accuracy,
        noise_accuracy=outcome.summary.noise_accuracy,
        robust_accuracy=outcome.summary.robust_accuracy,
        flags=(*outcome.flags, *_near_chance(setup, finished)),
        gradient=setup.path,
        audit={**describe(setup), **finished.facts},
        cost=setup.model.meter.totals(),
        samples=pd.DataFrame(columns),
        adversarial=torch.from_numpy(finished.whole.arrays[column.IMAGES]),
        result_hash=outcome.result_hash,
        rungs=outcome.rungs,
    )


def _near_chance(setup: Setup, finished: Finished) -> tuple[Flag, ...]:
    """In a table a flag of the row, which here has one cell."""
    found = near_chance(finished.outcome.samples[column.CLEAN], setup.audit.classes)
    return () if found is None else (Flag(name=found.name, value=found.value, detail=found.detail),)


def _check(images: Tensor, labels: Tensor) -> None:
    if len(images) != len(labels) or not len(images):
        found = f"{len(images)} images, {len(labels)} labels"
        remedy = "give as many of both, at least one"
        raise InputError(found, place="images and labels", found=found, remedy=remedy)
    if images.dim() != 4 or images.dtype != torch.float32:
        found = f"{images.dtype} {tuple(images.shape)}"
        raise InputError("need float32 [N, C, H, W]", place="images", found=found)
    if labels.dtype != torch.int64 or int(labels.min()) < 0:
        found = f"{labels.dtype}, minimum {labels.min()}"
        raise InputError("need int64 class numbers from 0", place="labels", found=found)
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        remedy = "Divide 8-bit images by 255"
        raise InputError("pixels must lie in [0, 1].", place="images", found=f"{low:g} to {high:g}", remedy=remedy)
