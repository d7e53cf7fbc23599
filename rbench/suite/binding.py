"""A suite's components, found in the registries and checked, before any file is hashed or module imported."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rbench.bundled_files import weights_file
from rbench.errors import InputError, RbenchError
from rbench.registry import Bound, bind
from rbench.signature import ParameterError, nearest
from rbench.suite.document import FieldPath
from rbench.suite.model import FileModel
from rbench.suite.spec import AttackSpec, BackboneSpec, PartSpec, PurifierSpec, SuiteSpec

_BASELINE = "identity"


@dataclass(frozen=True)
class BoundPart:
    """One component of a suite.

    Attributes:
        name: as written.
        label: what tables call it.
        path: where the suite has it; a baseline that was added has the path of its list.
        bound: the component with its arguments.
        spec: what the suite says, beside the parameters too.
        head: the file of the linear classifier that a backbone gets, if any.
    """

    name: str
    label: str
    path: FieldPath
    bound: Bound
    spec: PartSpec
    head: Path | None = None


@dataclass(frozen=True)
class BoundBackbone(BoundPart):
    """A backbone and the purifiers that it is put behind."""

    spec: BackboneSpec


@dataclass(frozen=True)
class BoundAttack(BoundPart):
    """An attack, its gradient path, what stands in for the purifier there, and the purifiers that it is for."""

    spec: AttackSpec
    stand_in: BoundPart | None = None


@dataclass(frozen=True)
class BoundSuite:
    """All components of a suite, `identity` included."""

    dataset: BoundPart
    backbones: tuple[BoundBackbone, ...]
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
    found = _all_bound(spec, "purifier", purifiers)
    labels = [purifier.label for purifier in found]
    suite = BoundSuite(
        dataset=bound_part(spec, "dataset", spec.dataset, ("dataset",)),
        backbones=tuple(
            _backbone(spec, backbone, part, labels)
            for backbone, part in zip(_all_bound(spec, "backbone", backbones), spec.backbones, strict=True)
        ),
        purifiers=tuple(found),
        attacks=tuple(
            _attack(spec, attack, part, labels)
            for attack, part in zip(_all_bound(spec, "attack", attacks), spec.attacks, strict=True)
        ),
    )
    _refuse_idle(spec, suite)
    return suite


def _all_bound(spec: SuiteSpec, kind: str, parts: Sequence[tuple[PartSpec, FieldPath]]) -> list[BoundPart]:
    """The components of a list. Labels come last, since a mistyped key explains one that is there twice."""
    found = [bound_part(spec, kind, part, path) for part, path in parts]
    return [replace(part, label=label) for part, label in zip(found, _labels(spec, parts), strict=True)]


def bound_part(spec: FileModel, kind: str, part: PartSpec, path: FieldPath) -> BoundPart:
    """One component that a file names, checked; imports and hashes nothing.

    Args:
        spec: the file, for messages.
        kind: `purifier`, `backbone`, ...
        part: what the file says of it.
        path: where.

    Raises:
        InputError: one line with the place in the file.
        MissingError: it needs a module that is not installed to say what it takes.
    """
    label = part.label or part.default_label
    own = {"as", *type(part).model_fields} - {"label", "params", "name"}
    try:
        bound = bind(kind, part.name, part.params, sorted(own))
    except ParameterError as error:
        detail = spec.wrong((*path, error.parameter), error.detail, key=error.unknown)
        raise InputError(detail) from None
    except RbenchError as error:
        raise type(error)(spec.wrong((*path, "name"), str(error))) from error
    return BoundPart(part.name, label, path, bound, part, _head(spec, part, path))


def _head(spec: FileModel, part: PartSpec, path: FieldPath) -> Path | None:
    text = part.added.get("head")
    try:
        return None if text is None else weights_file(text)
    except InputError as error:
        raise InputError(spec.wrong((*path, "head"), str(error))) from None


def _backbone(spec: SuiteSpec, found: BoundPart, part: BackboneSpec, purifiers: Sequence[str]) -> BoundBackbone:
    _require_labels(spec, found.path, part.purifiers, purifiers)
    return BoundBackbone(found.name, found.label, found.path, found.bound, part, found.head)


def _attack(spec: SuiteSpec, found: BoundPart, part: AttackSpec, purifiers: Sequence[str]) -> BoundAttack:
    facts, path = found.bound.component.facts(), found.path
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
    paths = facts.get("gradients")
    if isinstance(paths, tuple | list) and part.gradient not in paths:
        able = " or ".join(map(str, paths))
        raise InputError(spec.wrong((*path, "gradient"), f"{part.name!r} takes {able} (got {part.gradient!r})."))
    _require_labels(spec, path, part.purifiers, purifiers)
    if part.stand_in is not None and part.gradient != "bpda":
        detail = f"BPDA alone has a stand-in (found gradient: {part.gradient}). Write gradient: bpda, or leave it out."
        raise InputError(spec.wrong((*path, "stand_in"), detail))
    stand_in = None if part.stand_in is None else bound_part(spec, "purifier", part.stand_in, (*path, "stand_in"))
    return BoundAttack(found.name, found.label, found.path, found.bound, part, stand_in=stand_in)


def _require_labels(spec: SuiteSpec, path: FieldPath, wanted: Sequence[str] | None, purifiers: Sequence[str]) -> None:
    """Refuses `purifiers` of a backbone or an attack that name none of the suite's."""
    for i, label in enumerate(wanted or ()):
        if label not in purifiers:
            close = nearest(label, purifiers)
            advice = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(purifiers)}."
            raise InputError(spec.wrong((*path, "purifiers", i), f"no purifier has the label {label!r}. {advice}"))
    if wanted is not None and not wanted:
        raise InputError(spec.wrong((*path, "purifiers"), "found an empty list. Leave it out to attack all."))


def _refuse_idle(spec: SuiteSpec, suite: BoundSuite) -> None:
    """Refuses a backbone that no attack meets, and an attack that meets no backbone: their author meant something else."""

    def meet(one: BoundBackbone | BoundAttack, other: BoundBackbone | BoundAttack) -> bool:
        ours, theirs = one.spec.purifiers, other.spec.purifiers
        return ours is None or theirs is None or not set(ours).isdisjoint(theirs)

    for parts, others, kind in (
        (suite.backbones, suite.attacks, "attack"),
        (suite.attacks, suite.backbones, "backbone"),
    ):
        for part in parts:
            if not any(meet(part, other) for other in others):
                raise InputError(
                    spec.wrong((*part.path, "purifiers"), f"no {kind} of the suite has one of them. Add one.")
                )


def _labels(spec: SuiteSpec, parts: Sequence[tuple[Any, FieldPath]]) -> list[str]:
    """The labels of a list, made unique where the gradient path tells two attacks apart.

    Raises:
        InputError: two are equal, or differ only in case (file systems and readers would mix them up).
    """
    chosen: list[str] = []
    seen: dict[str, FieldPath] = {}
    for part, path in parts:
        label = part.label or part.default_label
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
