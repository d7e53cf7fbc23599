"""The parts of a suite, where a parameter that is a list of values stands for one part a value."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, TypeVar

from rbench.elsewhere import portable
from rbench.errors import RbenchError
from rbench.registry.registry import registry
from rbench.signature import ParameterError, Signature, fraction
from rbench.suite.document import FieldPath
from rbench.suite.spec import AttackSpec, BackboneSpec, PartSpec, PurifierSpec, SuiteSpec

BASELINE = "identity"
SWEPT = ("purifier", "attack")
"""Kinds whose parameters may be lists of values."""
MAX_PARTS = 1000
"""That one entry may stand for."""
_LONGEST = 80
Spec = TypeVar("Spec", bound=PartSpec)


@dataclass(frozen=True)
class Entries:
    """What a suite lists, sweeps written out, and where each entry stands in its file.

    Attributes:
        backbones: as they are; `purifiers` names all parts of a sweep where the suite names the sweep.
        purifiers: the baseline `identity` first where the suite leaves it out; that one has the path of the list.
        attacks: `purifiers` as for backbones.
    """

    backbones: tuple[tuple[BackboneSpec, FieldPath], ...]
    purifiers: tuple[tuple[PurifierSpec, FieldPath], ...]
    attacks: tuple[tuple[AttackSpec, FieldPath], ...]


def entries(spec: SuiteSpec) -> Entries:
    """The parts of a suite, its sweeps written out: every combination of the values, the last list fastest.

    A list is a sweep where the parameter takes no list but each of its values: `sigma: [0.05, 0.1]`. A parameter that takes a list is
    swept by a list of lists.

    Raises:
        InputError: a value is wrong, or an entry would be more than `MAX_PARTS`; with the place in the file. A component that is unknown
            or broken, if it has a list among its parameters.
    """
    purifiers, swept = list[tuple[PurifierSpec, FieldPath]](), dict[str, list[str]]()
    if not any(part.name == BASELINE for part in spec.purifiers):
        purifiers.append((PurifierSpec(name=BASELINE, params={}), ("purifiers",)))
    for i, part in enumerate(spec.purifiers):
        made = _parts(spec, "purifier", part, ("purifiers", i))
        if made != [part]:
            swept[_label(part)] = [_label(one) for one in made]
        purifiers += [(one, ("purifiers", i)) for one in made]
    attacks = [
        (one, ("attacks", i))
        for i, part in enumerate(spec.attacks)
        for one in _parts(spec, "attack", part, ("attacks", i))
    ]
    return Entries(
        tuple((_behind(part, swept), ("backbones", i)) for i, part in enumerate(spec.backbones)),
        tuple(purifiers),
        tuple((_behind(part, swept), path) for part, path in attacks),
    )


def _label(part: PartSpec) -> str:
    return part.label or part.default_label


def _behind(part: Any, swept: Mapping[str, Sequence[str]]) -> Any:
    """A backbone or attack whose `purifiers` names the parts of a sweep in place of it."""
    if part.purifiers is None or not swept:
        return part
    named = [label for one in part.purifiers for label in swept.get(one, [one])]
    return part.model_copy(update={"purifiers": named})


def _parts(spec: SuiteSpec, kind: str, part: Spec, path: FieldPath) -> list[Spec]:
    lists = {name: value for name, value in part.params.items() if isinstance(value, list)}
    if not lists:
        return [part]
    try:
        component = registry(kind).get(part.name)
        signature = component.signature(component.split(part.name)[1] or None)
    except RbenchError as error:
        raise error.at(spec.place((*path, "name")), component=f"{kind} {part.name!r}") from error
    sweeps = {name: value for name, value in lists.items() if _is_sweep(spec, signature, name, value, path)}
    if not sweeps:
        return [part]
    if (count := prod(map(len, sweeps.values()))) > MAX_PARTS:
        problem, found = f"stands for {count:,} parts, more than {MAX_PARTS:,}.", f"{count:,} parts"
        raise spec.wrong((*path, next(iter(sweeps))), problem, found=found, remedy="Split the suite.")
    made = []
    for values in product(*sweeps.values()):
        chosen = dict(zip(sweeps, values, strict=True))
        made.append(
            part.model_copy(update={"params": {**part.params, **chosen}, "label": _called(_label(part), chosen)})
        )
    return made


def _is_sweep(spec: SuiteSpec, signature: Signature, name: str, values: list[Any], path: FieldPath) -> bool:
    """Whether a list is one of values. What is no parameter, an empty list and nonsense are left to those who check parameters."""
    parameter = next((p for p in signature.parameters if p.name == name), None)
    if parameter is None or not values or _takes(parameter, values):
        return False
    wrong = [place for place, value in enumerate(values) if not _takes(parameter, value)]
    if len(wrong) == len(values):
        return False
    if wrong:
        try:
            parameter.check(values[wrong[0]])
        except ParameterError as error:
            where = (*path, name, wrong[0])
            raise spec.wrong(where, error.problem, found=error.found, remedy=error.remedy) from None
    return True


def _takes(parameter: Any, value: Any) -> bool:
    try:
        parameter.check(value)
    except ParameterError:
        return False
    return True


def _called(label: str, chosen: Mapping[str, Any]) -> str:
    """The label of one part: that of the entry, and what differs. Labels have no commas and slashes, by which `--only` reads them."""
    return " ".join([label, *(f"{name}={_text(value)}" for name, value in chosen.items())])[:_LONGEST].strip()


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(map(_text, value))
    if isinstance(value, str) and (exact := fraction(value)) is not None:
        return f"{exact.numerator}:{exact.denominator}"
    text = portable(value) if isinstance(value, str) else json.dumps(value)
    return "".join(c if c.isprintable() else "?" for c in re.sub("[,/]", "-", text))
