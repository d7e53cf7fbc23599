"""A suite's components, looked up in the registries and checked, before any file is hashed or module imported."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from rbench.bundled_files import weights_file
from rbench.errors import InputError, RbenchError
from rbench.registry import Bound, Component, bind
from rbench.signature import Mistake, ParameterError, nearest
from rbench.suite.document import FieldPath
from rbench.suite.effort import refused_effort
from rbench.suite.model import FileModel
from rbench.suite.runs_itself import runs_itself
from rbench.suite.spec import AttackSpec, BackboneSpec, PartSpec, SuiteSpec, require_bpda
from rbench.suite.sweep import Entries, entries


@dataclass(frozen=True)
class BoundPart:
    """One component of a suite.

    Attributes:
        name: as written.
        label: what tables call it.
        path: of its entry in the suite; the baseline that is added where it is missing has the path of the list of purifiers.
        bound: the component with its arguments.
        spec: its whole entry in the suite, with the fields that are no parameters of the component.
        head: the file of the linear classifier that a backbone gets, if any.
    """

    name: str
    label: str
    path: FieldPath
    bound: Bound
    spec: PartSpec
    head: Path | None = None

    @property
    def component(self) -> str:
        """What errors call it: its kind and its name."""
        return f"{self.bound.component.kind} {self.name!r}"


@dataclass(frozen=True)
class BoundBackbone(BoundPart):
    """A backbone; `spec.purifiers` names the only purifiers that it is put behind."""

    spec: BackboneSpec


@dataclass(frozen=True)
class BoundAttack(BoundPart):
    """An attack; `spec` has its gradient path and the purifiers that it is for.

    Attributes:
        stand_in: the purifier that BPDA differentiates in place of the attacked one, if the suite names one.
    """

    spec: AttackSpec
    stand_in: BoundPart | None = None


@dataclass(frozen=True)
class BoundSuite:
    """All components of a suite, with the baseline `identity` even where the suite leaves it out.

    Attributes:
        listed: what they were made of.
    """

    dataset: BoundPart
    backbones: tuple[BoundBackbone, ...]
    purifiers: tuple[BoundPart, ...]
    attacks: tuple[BoundAttack, ...]
    listed: Entries


def bind_suite(spec: SuiteSpec) -> BoundSuite:
    """Checks every component, label and combination of a suite; imports and hashes nothing.

    Raises:
        InputError: one line with the place in the file.
        MissingError: a component needs a module that is not installed to say what it takes.
    """
    listed = entries(spec)
    bound = _all_bound(spec, "purifier", listed.purifiers)
    labels = [purifier.label for purifier in bound]
    suite = BoundSuite(
        dataset=bound_part(spec, "dataset", spec.dataset, ("dataset",)),
        backbones=tuple(
            _backbone(spec, backbone, part, labels)
            for backbone, (part, _) in zip(
                _all_bound(spec, "backbone", listed.backbones), listed.backbones, strict=True
            )
        ),
        purifiers=tuple(bound),
        attacks=tuple(
            _attack(spec, attack, part, labels)
            for attack, (part, _) in zip(_all_bound(spec, "attack", listed.attacks), listed.attacks, strict=True)
        ),
        listed=listed,
    )
    _refuse_idle(spec, suite)
    return suite


def _all_bound(spec: SuiteSpec, kind: str, parts: Sequence[tuple[PartSpec, FieldPath]]) -> list[BoundPart]:
    """The components of a list. Labels are checked last: a mistyped key may be why two are equal, and is the better message."""
    bound = [bound_part(spec, kind, part, path) for part, path in parts]
    return [replace(part, label=label) for part, label in zip(bound, labels_of(spec, parts), strict=True)]


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
    component = f"{kind} {part.name!r}"
    try:
        bound = bind(kind, part.name, part.params, sorted(own))
    except ParameterError as error:
        place = spec.place((*path, error.parameter), key=error.unknown)
        raise InputError(
            error.problem, component=component, place=place, found=error.found, remedy=error.remedy
        ) from None
    except RbenchError as error:
        raise error.at(spec.place((*path, "name")), component=component) from error
    return BoundPart(part.name, label, path, bound, part, _head(spec, part, path))


def _head(spec: FileModel, part: PartSpec, path: FieldPath) -> Path | None:
    text = part.added.get("head")
    try:
        return None if text is None else weights_file(text)
    except InputError as error:
        raise error.at(spec.place((*path, "head"))) from None


def _backbone(spec: SuiteSpec, checked: BoundPart, part: BackboneSpec, purifiers: Sequence[str]) -> BoundBackbone:
    _require_labels(spec, checked.path, part.purifiers, purifiers)
    return BoundBackbone(checked.name, checked.label, checked.path, checked.bound, part, checked.head)


def _attack(spec: SuiteSpec, checked: BoundPart, part: AttackSpec, purifiers: Sequence[str]) -> BoundAttack:
    path, component = checked.path, f"attack {part.name!r}"
    if refusal := refused_of(checked.bound.component, spec.threat.norm, part):
        field, mistake = refusal
        raise spec.wrong(
            (*path, field), mistake.problem, component=component, found=mistake.found, remedy=mistake.remedy
        )
    if refusal := refused_effort(checked.bound, spec.threat.norm, part.params):
        field, mistake = refusal
        raise spec.wrong(
            (*path, field), mistake.problem, component=component, found=mistake.found, remedy=mistake.remedy
        )
    _require_own_code(spec, checked, part)
    _require_labels(spec, path, part.purifiers, purifiers)
    stand_in = None if part.stand_in is None else bound_part(spec, "purifier", part.stand_in, (*path, "stand_in"))
    return BoundAttack(checked.name, checked.label, checked.path, checked.bound, part, stand_in=stand_in)


def _require_own_code(spec: SuiteSpec, checked: BoundPart, part: AttackSpec) -> None:
    """Refuses another precision for code that is run as it would be by hand."""
    if part.precision != "fp32" and runs_itself(checked.bound.component, checked.bound.arguments):
        raise spec.wrong(
            (*checked.path, "precision"),
            "third-party code is run as it would be by hand.",
            component=f"attack {part.name!r}",
            found=repr(part.precision),
            remedy="Leave it out.",
        )


class AttackTerms(Protocol):
    """What a suite or `rbench.evaluate` says of an attack beside its parameters."""

    @property
    def gradient(self) -> str:
        """The gradient path."""

    @property
    def eot(self) -> int:
        """Draws of the defence per gradient."""

    @property
    def stand_in(self) -> object:
        """What BPDA is to differentiate, or None."""


def refused_of(attack: Component, norm: str, terms: AttackTerms) -> tuple[str, Mistake] | None:
    """What an attack cannot do of what is asked of it: the field and what is wrong with it; None if it can do all.

    Args:
        attack: by its registry name; not imported.
        norm: of the ball.
        terms: what is asked.
    """
    facts = attack.facts()
    norms, paths = facts.get("norms"), facts.get("gradients")
    if isinstance(norms, tuple | list) and norm not in norms:
        able = " and ".join(map(str, norms))
        return "name", Mistake(f"{attack.name!r} cannot attack {norm}; it does {able}.")
    if terms.eot > 1 and facts.get("batched"):
        own = [p.name for p in attack.signature().parameters if p.name.startswith("eot")]
        remedy = f"Use its own {own[0]}." if own else "Leave it out."
        return "eot", Mistake(f"{attack.name!r} draws for a whole batch and takes no eot.", remedy=remedy)
    if isinstance(paths, tuple | list) and terms.gradient not in paths:
        able = " or ".join(map(str, paths))
        return "gradient", Mistake(f"{attack.name!r} takes {able}.", found=repr(terms.gradient))
    try:
        require_bpda(terms.gradient, terms.stand_in)
    except Mistake as mistake:
        return "stand_in", mistake
    return None


def _require_labels(spec: SuiteSpec, path: FieldPath, wanted: Sequence[str] | None, purifiers: Sequence[str]) -> None:
    """Refuses `purifiers` of a backbone or an attack with a label that no purifier of the suite has."""
    for i, label in enumerate(wanted or ()):
        if label not in purifiers:
            close = nearest(label, purifiers)
            remedy = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(purifiers)}."
            raise spec.wrong((*path, "purifiers", i), f"no purifier has the label {label!r}.", remedy=remedy)
    if wanted is not None and not wanted:
        raise spec.wrong(
            (*path, "purifiers"), "found an empty list.", found="an empty list", remedy="Leave it out to attack all."
        )


def _refuse_idle(spec: SuiteSpec, suite: BoundSuite) -> None:
    """Refuses a backbone that shares no purifier with any attack, and the reverse: it would be part of no cell."""
    if not suite.attacks:
        return

    def meet(one: BoundBackbone | BoundAttack, other: BoundBackbone | BoundAttack) -> bool:
        ours, theirs = one.spec.purifiers, other.spec.purifiers
        return ours is None or theirs is None or not set(ours).isdisjoint(theirs)

    for parts, others, kind in (
        (suite.backbones, suite.attacks, "attack"),
        (suite.attacks, suite.backbones, "backbone"),
    ):
        for part in parts:
            if not any(meet(part, other) for other in others):
                problem = f"no {kind} of the suite has one of them."
                raise spec.wrong((*part.path, "purifiers"), problem, remedy="Add one.")


def labels_of(spec: FileModel, parts: Sequence[tuple[Any, FieldPath]]) -> list[str]:
    """The labels of a list; an attack whose label is taken gets its gradient path added to its name.

    Raises:
        InputError: two are equal, or differ only in case or in how an accent is coded.
    """
    chosen: list[str] = []
    seen: dict[str, FieldPath] = {}
    for part, path in parts:
        label = part.label or part.default_label
        gradient = getattr(part, "gradient", "auto")
        if _alike(label) in seen and part.label is None and gradient != "auto":
            label = f"{label}-{gradient}"
        if _alike(label) in seen:
            first = spec.line(seen[_alike(label)])
            field = "as" if part.label else "name"
            remedy = "Give this one another with `as:`."
            raise spec.wrong((*path, field), f"the label {label!r} is taken ({first}).", remedy=remedy)
        seen[_alike(label)] = path
        chosen.append(label)
    return chosen


def _alike(label: str) -> str:
    """Equal for labels that readers or file systems would mix up: they differ in case, or in how an accent is coded."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
