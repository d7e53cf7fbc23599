"""What `rbench.evaluate` is asked, checked by the types of a suite: which attacks, in which ball, judged how."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from rbench.api.models import Given, Model, model_of, object_part, part_spec, within
from rbench.datasets.types import Dataset
from rbench.elsewhere import portable
from rbench.errors import InputError
from rbench.registry import Bound, bind, registry
from rbench.registry.own import public_name
from rbench.running.components import make
from rbench.signature import ParameterError
from rbench.suite.asked import Asked, asked
from rbench.suite.binding import BoundPart, bound_part, labels_of
from rbench.suite.cell import Cell, Part, Precision, Slice, Threat
from rbench.suite.effort import refused_effort
from rbench.suite.model import FileModel
from rbench.suite.resolve import part_of, resolve_part
from rbench.suite.spec import AttackSpec
from rbench.threat.attack import Attack

OneAttack: TypeAlias = str | Mapping[str, Any] | Attack
"""A registry name, the map that a suite has in its place, or an attack object."""
Eps: TypeAlias = float | str | Fraction
"""A radius on the [0, 1] pixel scale; text is exact."""

USUAL = {"attack": "pgd", "norm": "Linf", "eps": "8/255"}
"""What the three are that `attacks` and `threat` stand in place of."""
_KEYWORDS = (
    "norm",
    "eps",
    "threat",
    "attacks",
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
    "samples",
)
"""Keywords of `evaluate` that one may have meant by a mistyped parameter of an attack."""


@dataclass(frozen=True)
class AskedAttack:
    """One attack.

    Attributes:
        attack: made.
        part: what a cell says of it; its label is what tables call it.
        terms: gradient path, EOT, draws, radius and the rest, of this attack.
        stand_in: what BPDA differentiates in place of the purifier, if anything was named.
        precision: in which the attack asks the backbone.
    """

    attack: Attack
    part: Part
    terms: Asked
    stand_in: Model | None = None
    precision: Precision = "fp32"

    def cell(self, data: Dataset, backbone: Model, purifier: Model) -> Cell:
        """The cell that a suite would plan for it."""
        asks = self.terms
        return Cell(
            dataset=_data_part(data),
            slice=Slice(None, shuffle=False),
            backbone=backbone.part,
            purifier=purifier.part,
            threat=Threat(asks.norm, asks.eps),
            attack=self.part,
            gradient=asks.gradient,
            eot=asks.eot,
            draws=asks.draws,
            select_draws=asks.select_draws,
            decide=asks.decide,
            seed=asks.seed,
            stand_in=None if self.stand_in is None else self.stand_in.part,
            precision=self.precision,
        )


def attacks_asked(
    attack: OneAttack,
    attacks: Sequence[OneAttack] | None,
    params: dict[str, Any],
    stand_in: Given | None,
    data: Dataset,
    **terms: Any,
) -> list[AskedAttack]:
    """The attacks of a call, each with its terms, all checked before anything is asked of a model.

    Args:
        attack: one attack.
        attacks: several, in place of it.
        params: parameters of the one attack, if it is a name.
        stand_in: what BPDA differentiates, for those that take that path and name nothing themselves.
        data: the images.
        **terms: the other fields of `Asked`.

    Raises:
        InputError: one line with the argument, what was found and what to write.
    """
    model = None if stand_in is None else model_of("stand_in", stand_in)
    values, terms = math.prod(data.shape), {name: plain(value) for name, value in terms.items()}
    if attacks is not None and _takes_attacks(attack):  # its own parameter, such as the members of a custom AutoAttack
        params, attacks = {**params, "attacks": attacks}, None
    if attacks is None:
        params = {name: plain(value) for name, value in params.items()}
        return [_single(attack, params, model, values, terms)]
    if attack != USUAL["attack"]:
        raise InputError("given beside attack.", place="attacks", remedy="Give one of the two.")
    for name in params:
        raise InputError("no such argument.", place=name, remedy="Parameters of several attacks go into attacks.")
    if isinstance(attacks, str | Mapping) or not isinstance(attacks, Sequence) or not attacks:
        found = "an empty list" if isinstance(attacks, list | tuple) else type(attacks).__name__
        remedy = "Write e.g. ['pgd', {'name': 'square', 'queries': 1000}]."
        raise InputError("expected a list of attacks.", place="attacks", found=found, remedy=remedy)
    return _several(attacks, model, values, terms)


def _takes_attacks(attack: OneAttack) -> bool:
    return (
        isinstance(attack, str)
        and attack in registry("attack").names()
        and any(one.name == "attacks" for one in registry("attack").get(attack).signature().parameters)
    )


def threat_asked(threat: Mapping[str, Any] | None, norm: object, eps: object) -> dict[str, Any]:
    """Norm and radius, from the map of a suite or from the two keywords.

    Raises:
        InputError: both were given, or the map has something else.
    """
    if threat is None:
        return {"norm": norm, "eps": eps}
    if not isinstance(threat, Mapping) or not {"norm", "eps"} >= set(threat) or len(threat) != 2:
        found = ", ".join(map(str, threat)) if isinstance(threat, Mapping) else type(threat).__name__
        remedy = "Write {'norm': 'Linf', 'eps': '8/255'}."
        raise InputError("expected a map of norm and eps.", place="threat", found=found, remedy=remedy)
    if norm != USUAL["norm"] or eps != USUAL["eps"]:
        raise InputError("given beside norm or eps.", place="threat", remedy="Give one of the two.")
    return dict(threat)


def _single(attack: OneAttack, params: dict[str, Any], model: Model | None, values: int, terms: Any) -> AskedAttack:
    if isinstance(attack, Mapping):
        for name in params:
            remedy = "The map of an attack has its parameters."
            raise InputError("no such parameter.", place=name, remedy=remedy)
        return _several([attack], model, values, terms, place="attack")[0]
    bound = _bound(attack, params)
    called = attack if isinstance(attack, str) else None
    given = None if model is None else model.module
    checked = asked(called, values, stand_in=given, **terms)
    if bound is None:
        assert not isinstance(attack, str)
        return AskedAttack(attack, object_part(type(attack).__name__, attack), checked, model)
    assert isinstance(attack, str)
    if refusal := refused_effort(bound, checked.norm, params):
        field, mistake = refusal
        owner = f"attack {attack!r}"
        place = f"{owner}: {field}"
        raise InputError(mistake.problem, component=owner, place=place, found=mistake.found, remedy=mistake.remedy)
    made: Attack = make("attack", attack, params)
    return AskedAttack(made, resolve_part("attack", attack, params), checked, model)


def _several(
    attacks: Sequence[OneAttack], model: Model | None, values: int, terms: Any, place: str = "attacks"
) -> list[AskedAttack]:
    specs = [_spec(one, f"{place}[{at}]" if place == "attacks" else place) for at, one in enumerate(attacks)]
    paths = [(spec, ("attacks", at)) for at, spec in enumerate(specs)]
    wheres = [f"{place}[{at}]" if place == "attacks" else place for at in range(len(specs))]
    bound: list[BoundPart | Attack] = [
        bound_part(FileModel(), "attack", spec, (where,)) if isinstance(one, str | Mapping) else one
        for one, spec, where in zip(attacks, specs, wheres, strict=True)
    ]
    # Labels are checked last: a mistyped key may be why two are equal, and is the better message.
    labels = labels_of(FileModel(), paths)
    found = [
        _entry(one, spec, label, model, values, terms, where)
        for one, spec, label, where in zip(bound, specs, labels, wheres, strict=True)
    ]
    if model is not None and all(one.stand_in is not model for one in found):
        remedy = "Write gradient: bpda, or leave it out."
        raise InputError("BPDA alone has a stand-in.", place="stand_in", remedy=remedy)
    return found


def _entry(
    one: BoundPart | Attack,
    spec: AttackSpec,
    label: str,
    model: Model | None,
    values: int,
    terms: dict[str, Any],
    where: str,
) -> AskedAttack:
    named = isinstance(one, BoundPart)
    own: dict[str, Any] = {key: getattr(spec, key) for key in ("gradient", "eot") if key in spec.model_fields_set}
    asks: dict[str, Any] = {**terms, **own}
    stand_in = model if asks["gradient"] == "bpda" else None
    if spec.stand_in is not None:
        stand_in = model_of("stand_in", {"name": spec.stand_in.name, **spec.stand_in.params, **spec.stand_in.added})
    try:
        checked = asked(spec.name if named else None, values, stand_in=stand_in and stand_in.module, **asks)
    except InputError as error:
        raise (within(where, error) if error.place in ("gradient", "eot", "stand_in") else error) from None
    if not isinstance(one, BoundPart):
        return AskedAttack(one, object_part(spec.name, one, label), checked, stand_in)
    if refusal := refused_effort(one.bound, checked.norm, spec.params):
        field, mistake = refusal
        found, remedy, where = mistake.found, mistake.remedy, f"{where}.{field}"
        raise InputError(mistake.problem, component=one.component, place=where, found=found, remedy=remedy)
    made: Attack = make("attack", spec.name, spec.params)
    return AskedAttack(made, part_of(FileModel(), replace(one, label=label)), checked, stand_in, spec.precision)


def _spec(one: OneAttack, place: str) -> AttackSpec:
    if isinstance(one, str):
        return part_spec(AttackSpec, one, place)
    if isinstance(one, Mapping):
        return part_spec(AttackSpec, {str(name): plain(value) for name, value in one.items()}, place)
    _require_attack(one, place)
    return AttackSpec(name=type(one).__name__)


def _bound(attack: str | Attack, params: Mapping[str, Any]) -> Bound | None:
    """A named attack with its parameters, checked; None for an object, which has its own."""
    if not isinstance(attack, str):
        _require_attack(attack, "attack")
        for name in params:
            raise InputError("no such parameter.", place=name, remedy="An attack object has its parameters already.")
        return None
    owner = f"attack {attack!r}"
    try:
        return bind("attack", attack, params, _KEYWORDS)
    except ParameterError as error:
        raise error.at(owner, component=owner) from None


def _require_attack(attack: object, place: str) -> None:
    if not callable(getattr(attack, "chunk", None)) or isinstance(attack, type):
        found, remedy = type(attack).__name__, "Write its name, e.g. 'pgd' or 'torchattacks:PGD'."
        raise InputError("expected the name of an attack.", place=place, found=found, remedy=remedy)


def _data_part(data: Dataset) -> Part:
    name = str(data.provenance.get("source", "dataset"))
    name = "given" if name == "rbench.evaluate" else name.removeprefix("dataset '").removesuffix("'")
    name = public_name(portable(name))
    return Part(name, {}, "", {}, name, "object", {})


def plain(value: Any) -> Any:
    """A number of numpy or torch as Python's own, which suites have as well."""
    return value.item() if isinstance(value, np.generic | Tensor | np.ndarray) and value.ndim == 0 else value
