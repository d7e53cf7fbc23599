"""A suite's components, found in the registries and checked, before any file is hashed or module imported."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rbench.errors import InputError, RbenchError
from rbench.registry import Bound, bind
from rbench.signature import ParameterError, nearest
from rbench.suite.document import FieldPath
from rbench.suite.spec import AttackSpec, PartSpec, PurifierSpec, SuiteSpec

_BASELINE = "identity"


@dataclass(frozen=True)
class BoundPart:
    """One component of a suite.

    Attributes:
        name: as written.
        label: what tables call it.
        path: where the suite has it; a baseline that was added has the path of its list.
        bound: the component with its arguments.
    """

    name: str
    label: str
    path: FieldPath
    bound: Bound


@dataclass(frozen=True)
class BoundAttack(BoundPart):
    """An attack with what the suite says of it beside its parameters."""

    spec: AttackSpec


@dataclass(frozen=True)
class BoundSuite:
    """All components of a suite, `identity` included."""

    dataset: BoundPart
    backbones: tuple[BoundPart, ...]
    purifiers: tuple[BoundPart, ...]
    attacks: tuple[BoundAttack, ...]


def bind_suite(spec: SuiteSpec) -> BoundSuite:
    """Checks every component, label and combination of a suite; imports and hashes nothing.

    Raises:
        InputError: one line with the place in the file.
        MissingError: a component needs a module that is not installed to say what it takes.
    """
    purifiers: list[tuple[PartSpec, FieldPath]] = [(p, ("purifiers", i)) for i, p in enumerate(spec.purifiers)]
    if not any(p.name == _BASELINE for p in spec.purifiers):
        purifiers.insert(0, (PurifierSpec(name=_BASELINE, params={}), ("purifiers",)))
    backbones = [(b, ("backbones", i)) for i, b in enumerate(spec.backbones)]
    attacks = [(a, ("attacks", i)) for i, a in enumerate(spec.attacks)]
    labels = _labels(spec, purifiers)
    return BoundSuite(
        dataset=_bound(spec, "dataset", spec.dataset, ("dataset",), spec.dataset.label or spec.dataset.name),
        backbones=tuple(
            _bound(spec, "backbone", part, path, label)
            for (part, path), label in zip(backbones, _labels(spec, backbones), strict=True)
        ),
        purifiers=tuple(
            _bound(spec, "purifier", part, path, label) for (part, path), label in zip(purifiers, labels, strict=True)
        ),
        attacks=tuple(
            _attack(spec, part, path, label, labels)
            for (part, path), label in zip(attacks, _labels(spec, attacks), strict=True)
        ),
    )


def _bound(spec: SuiteSpec, kind: str, part: PartSpec, path: FieldPath, label: str) -> BoundPart:
    own = {"as", *type(part).model_fields} - {"label", "params", "name"}
    try:
        return BoundPart(part.name, label, path, bind(kind, part.name, part.params, sorted(own)))
    except ParameterError as error:
        detail = spec.wrong((*path, error.parameter), error.detail, key=error.unknown)
        raise InputError(detail) from None
    except RbenchError as error:
        raise type(error)(spec.wrong((*path, "name"), str(error))) from error


def _attack(spec: SuiteSpec, part: AttackSpec, path: FieldPath, label: str, purifiers: Sequence[str]) -> BoundAttack:
    found = _bound(spec, "attack", part, path, label)
    facts = found.bound.component.facts()
    norms = facts.get("norms")
    if isinstance(norms, tuple | list) and spec.threat.norm not in norms:
        able = " and ".join(map(str, norms))
        raise InputError(
            spec.wrong((*path, "name"), f"{part.name!r} cannot attack {spec.threat.norm}; it does {able}.")
        )
    if part.eot > 1 and facts.get("batched"):
        own = [p.name for p in found.bound.component.signature().parameters if p.name.startswith("eot")]
        advice = f"Use its own {own[0]}." if own else "Leave it out."
        detail = f"{part.name!r} draws for a whole batch and takes no eot. {advice}"
        raise InputError(spec.wrong((*path, "eot"), detail))
    for i, wanted in enumerate(part.purifiers or ()):
        if wanted not in purifiers:
            close = nearest(wanted, purifiers)
            advice = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(purifiers)}."
            raise InputError(spec.wrong((*path, "purifiers", i), f"no purifier has the label {wanted!r}. {advice}"))
    if part.purifiers is not None and not part.purifiers:
        raise InputError(spec.wrong((*path, "purifiers"), "found an empty list. Leave it out to attack all."))
    return BoundAttack(found.name, found.label, found.path, found.bound, part)


def _labels(spec: SuiteSpec, parts: Sequence[tuple[Any, FieldPath]]) -> list[str]:
    """The labels of a list, made unique where the gradient path tells two attacks apart.

    Raises:
        InputError: two are equal, or differ only in case (file systems and readers would mix them up).
    """
    chosen: list[str] = []
    seen: dict[str, FieldPath] = {}
    for part, path in parts:
        label = part.label or part.name
        gradient = getattr(part, "gradient", "auto")
        if label.lower() in seen and part.label is None and gradient != "auto":
            label = f"{label}-{gradient}"
        if label.lower() in seen:
            first = spec.line(seen[label.lower()])
            field = "as" if part.label else "name"
            raise InputError(
                spec.wrong(
                    (*path, field),
                    f"the label {label!r} is taken ({first}). Give this one another with `as:`.",
                )
            )
        seen[label.lower()] = path
        chosen.append(label)
    return chosen
