"""The public functions: load a component, evaluate plain modules, read results."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from rbench.datasets.different import different, told_repeats
from rbench.datasets.types import Dataset
from rbench.engine.audits import Audits
from rbench.engine.copies import own_copy
from rbench.engine.defended import DefendedModel
from rbench.engine.devices import resolve_device
from rbench.engine.inventory import refuse_patched
from rbench.engine.left_as_found import left_as_found
from rbench.engine.patches import of_judging
from rbench.engine.precision import full_float32
from rbench.engine.setup import Setup, describe
from rbench.engine.unattacked import UnattackedVerdicts
from rbench.errors import InputError, RbenchError
from rbench.process_state import NOTES
from rbench.purifiers.identity import Identity
from rbench.registry import Bound, bind, registry
from rbench.registry.trust import let_run, own_code_in
from rbench.results import sample_columns as column
from rbench.results.flags.of_row import near_chance
from rbench.results.frames import read
from rbench.results.record import Figure, Flag, RungPart
from rbench.running.components import Loaded, make
from rbench.running.conclude import Finished, conclude
from rbench.running.given import by_argument, given
from rbench.running.prepare import Prepared, protocol_under, ready
from rbench.running.span import run_span
from rbench.signature import ParameterError
from rbench.suite.asked import Asked, asked
from rbench.suite.cell import Decide, GradientChoice, Norm
from rbench.suite.effort import refused_effort
from rbench.threat.attack import Attack
from rbench.threat.ball import Ball

of_judging()  # as it is before a user's purifier is made
__all__ = ["Evaluation", "evaluate", "load", "read", "register"]

Values = Tensor | NDArray[Any] | Sequence[Any] | None
"""Numbers in memory; None only for what was forgotten."""
_KEYWORDS = (
    "norm",
    "eps",
    "gradient",
    "stand_in",
    "eot",
    "draws",
    "select_draws",
    "decide",
    "seed",
    "batch_size",
    "device",
    "purifier",
)
"""Keywords of `evaluate` that one may have meant by a mistyped parameter of an attack."""


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


def load(kind: str, name: str, params: Mapping[str, Any] | None = None, /, *, trust: bool = False, **more: Any) -> Any:
    """A component, ready to use: `rbench.load("purifier", "jpeg", quality=50)`.

    Purifiers and backbones are torch modules, backbones frozen. `head` gives a backbone another last layer, `classes` chooses some of a
    data set.

    Args:
        kind: `purifier`, `backbone`, `dataset` or `attack`.
        name: registry name, with the item after a colon for a source.
        params: its parameters as a map, e.g. those of a stored cell.
        trust: whether code of your own may run that the name is of (`python:my_unet.py:SmallUNet`); read it first.
        **more: its parameters by keyword.

    Raises:
        InputError: it is unknown or broken, or refuses its parameters.
        MissingError: it needs a module or file that is not there.
    """
    whole = {**(params or {}), **more}
    _trust([name, whole], trust=trust)
    return make(kind, name, whole)


def register(kind: str, name: str, component: Callable[..., Any], /) -> None:
    """Makes a class or function of this process a component by name: `rbench.register("purifier", "mine", SmallUNet)`.

    It may stand in a notebook. Processes that this one begins do not have it; code in a file, `python:FILE.py:NAME`, they do. A name that
    was registered before gets the new class or function.

    Args:
        kind: `purifier`, `backbone`, `dataset` or `attack`.
        name: small letters, digits, `.`, `_`, `-`.
        component: what is called with its parameters to make one.

    Raises:
        InputError: the name is none or is a package's, or the component is neither class nor function.
    """
    registry(kind).register(name, component)


def _trust(document: Any, *, trust: bool) -> None:
    if trust:
        let_run(own_code_in(document))


def evaluate(
    backbone: nn.Module | str,
    images: Values,
    labels: Values = None,
    *,
    purifier: nn.Module | str | None = None,
    attack: str | Attack = "pgd",
    norm: Norm = "Linf",
    eps: float | str | Fraction = "8/255",
    gradient: GradientChoice = "auto",
    stand_in: nn.Module | str | None = None,
    eot: int = 1,
    draws: int = 16,
    select_draws: int = 64,
    decide: Decide = "mean",
    seed: int = 0,
    batch_size: int = 64,
    device: str = "cpu",
    trust: bool = False,
    **params: Any,
) -> Evaluation:
    """Judges plain modules under one attack, by the rules of a suite but without files.

    Args:
        backbone: [0, 1] pixels [B, C, H, W] to logits [B, classes]; a copy of it is judged, where it can be copied. It, purifier and
            stand-in may be names, such as those of `rbench.register`.
        images: a tensor, an array or a list of them, [N, C, H, W], [N, H, W, C] or, if grey, [N, H, W]: floats in [0, 1], or uint8.
        labels: [N] true classes, integers from 0, likewise.
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
        device: `auto`, `cpu`, `cuda` or `cuda:N`; the modules are moved there, in eval mode and frozen, and are afterwards as they were.
        trust: whether code of your own may run that a name is of, as for `load`.
        **params: parameters of a named attack.

    Raises:
        InputError: images, labels or parameters are wrong; one line, in the words that a suite gets.
        CellFailed: the defended model or the attack broke a rule of judging; names the samples.

    Warns:
        UserWarning: an image is there more than once, and counts once; or code of a third party changed the state of the process (default
            dtype, seed, ...), which was put back.
    """
    _trust([backbone, purifier, stand_in, attack, params], trust=trust)
    data = given(images, labels)
    params = {name: _plain(value) for name, value in params.items()}
    bound = _bound(attack, params)
    modules = _modules(backbone=backbone, purifier=purifier, stand_in=stand_in)
    on = _device(device)
    terms = asked(
        attack if isinstance(attack, str) else None,
        math.prod(data.shape),
        norm=_plain(norm),
        eps=_plain(eps),
        gradient=_plain(gradient),
        stand_in=stand_in,
        eot=_plain(eot),
        draws=_plain(draws),
        select_draws=_plain(select_draws),
        decide=_plain(decide),
        seed=_plain(seed),
        batch_size=_plain(batch_size),
    )
    if bound is not None and (refusal := refused_effort(bound, terms.norm, params)):
        field, mistake = refusal
        owner = f"attack {attack!r}"
        place = f"{owner}: {field}"
        raise InputError(mistake.problem, component=owner, place=place, found=mistake.found, remedy=mistake.remedy)
    NOTES.take()  # what is told here is of this call
    # A caller who measures without gradients may ask this as well.
    with torch.inference_mode(mode=False), torch.enable_grad(), full_float32(), left_as_found(*modules), by_argument():
        prepared, finished = _judged(terms, data, attack, params, modules, on)
    for line in NOTES.take():
        warnings.warn(line, stacklevel=2)
    return _evaluation(prepared.setup, finished)


def _judged(
    terms: Asked,
    data: Dataset,
    attack: str | Attack,
    params: dict[str, Any],
    modules: tuple[nn.Module, nn.Module | None, nn.Module | None],
    place: torch.device,
) -> tuple[Prepared, Finished]:
    """The three calls of a run, on modules that are frozen and moved for it."""
    backbone, purifier, stand_in = modules
    protocol = protocol_under(Ball(terms.norm, terms.eps.value), terms, terms.batch_size)
    refuse_patched("purifier" if purifier is not None else "backbone")
    made: Attack = make("attack", attack, params) if isinstance(attack, str) else attack
    own = own_copy(backbone) or backbone
    loaded = Loaded(
        dataset=data,
        model=DefendedModel((purifier or Identity()).to(place), own.to(place)),
        attack=made,
        remake=lambda changes: None,
        audits=Audits(),
        unattacked=UnattackedVerdicts(),
        device=place,
        source=None if made.source is None else DefendedModel(Identity(), make("backbone", made.source).to(place)),
        stand_in=stand_in,
    )
    ids = different(data, data.ids)
    for line in told_repeats(len(data) - len(ids), len(data)):
        NOTES.say(f"{line}; `samples` and `adversarial` have as many rows")
    prepared = ready(loaded, protocol, ids)
    size = made.chunk(terms.batch_size)
    spans = [ids[start : start + size] for start in range(0, len(ids), size)]
    return prepared, conclude(prepared, [run_span(prepared, span) for span in spans])


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


def _bound(attack: str | Attack, params: Mapping[str, Any]) -> Bound | None:
    """A named attack with its parameters, checked; None for an object, which has its own."""
    if not isinstance(attack, str):
        if not callable(getattr(attack, "chunk", None)):
            found, remedy = type(attack).__name__, "Write its name, e.g. 'pgd' or 'torchattacks:PGD'."
            raise InputError("expected the name of an attack.", place="attack", found=found, remedy=remedy)
        for name in params:
            raise InputError("no such parameter.", place=name, remedy="An attack object has its parameters already.")
        return None
    owner = f"attack {attack!r}"
    try:
        return bind("attack", attack, params, _KEYWORDS)
    except ParameterError as error:
        raise error.at(owner, component=owner) from None


def _modules(**modules: object) -> tuple[nn.Module, nn.Module | None, nn.Module | None]:
    """Backbone, purifier and stand-in, each known to be a module."""
    modules = {name: _made(name, module) for name, module in modules.items()}
    for name, module in modules.items():
        if not isinstance(module, nn.Module) and (module is not None or name == "backbone"):
            remedy = "Put it into the forward method of one."
            raise InputError("expected a torch.nn.Module.", place=name, found=type(module).__name__, remedy=remedy)
        if isinstance(module, torch.jit.ScriptModule):
            # Its methods are made when they are first asked for, so that nobody can tell whether they were patched.
            remedy = "Give the module that it was made from."
            raise InputError(
                "a scripted module cannot be watched.", place=name, found=type(module).__name__, remedy=remedy
            )
        if isinstance(module, nn.Module) and any(map(is_lazy, module.parameters())):
            remedy = "Ask it for one image first."
            raise InputError(
                "has parameters without a shape yet.", place=name, found=type(module).__name__, remedy=remedy
            )
    return tuple(modules.values())  # type: ignore[return-value]


def _made(argument: str, given: object) -> object:
    """The component of a name; anything else as it is."""
    if not isinstance(given, str):
        return given
    try:
        return make("backbone" if argument == "backbone" else "purifier", given)
    except RbenchError as error:
        raise error.at(argument) from error


def _device(wanted: object) -> torch.device:
    try:
        return resolve_device(str(wanted))
    except RbenchError as error:
        error.place = "device"
        raise


def _plain(value: Any) -> Any:
    """A number of numpy or torch as Python's own, which suites have as well."""
    return value.item() if isinstance(value, np.generic | Tensor | np.ndarray) and value.ndim == 0 else value
