"""What a component takes: parameters with a type, bounds, a default and a sentence each."""

import inspect
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from rbench.errors import InputError, worded
from rbench.signature.imported import constructor, names_around, resolved, takes_nothing
from rbench.signature.words import describe, nearest, show, wrong_value

REQUIRED: Any = inspect.Parameter.empty
"""The default of a parameter that has none."""

_FRACTION = re.compile(r"[-+]?\d{1,18}/\d{1,18}")


class ParameterError(InputError):
    """A parameter that is unknown, missing or has a wrong value.

    Args:
        parameter: its name, from which a reader of files knows the place.
        problem: what is wrong, without the name.
        unknown: there is no such parameter.
        found: the value found.
        remedy: what to do.
    """

    def __init__(
        self,
        parameter: str,
        problem: str,
        *,
        unknown: bool = False,
        found: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(problem, place=parameter, found=found, remedy=remedy)
        self.args = (parameter, problem)  # the arguments with which a copy is made
        self.parameter = parameter
        self.unknown = unknown

    @property
    def detail(self) -> str:
        """The text without the name of the parameter."""
        return worded(self.problem, self.found, self.remedy)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a component.

    Attributes:
        name: as written in suites.
        annotation: a type that pydantic can validate; `Any` if nothing is known.
        default: the value if none is given, or `REQUIRED`.
        positional: filled by the text after the colon of a name (`file:weights.safetensors`).
        description: the sentence of the docstring, possibly empty.
    """

    name: str
    annotation: Any = Any
    default: Any = REQUIRED
    positional: bool = False
    description: str = ""

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is REQUIRED

    @property
    def expected(self) -> str:
        """The allowed values in words, e.g. `int from 1 to 100, default 75`."""
        words = describe(self.annotation)
        return words if self.required else f"{words}, default {show(self.default)}"

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        try:
            return TypeAdapter(self.annotation, config=ConfigDict(allow_inf_nan=False))
        except PydanticUserError:  # a class that pydantic knows nothing of, or one with a config of its own
            return TypeAdapter(Any)

    def check(self, value: Any) -> Any:
        """The value as the component gets it; `ParameterError` if it is not allowed."""
        plain = to_json(value, self.name)
        for candidate in (plain, _fractions_as_numbers(plain)):
            try:
                # JSON and strict: a list may become a tuple and text a path, but true is no 1 and '75' no 75.
                return self._adapter.validate_json(json.dumps(candidate), strict=True)
            except ValidationError:
                continue
        mistake = wrong_value(value, self.annotation, self.expected)
        raise ParameterError(self.name, mistake.problem, found=mistake.found, remedy=mistake.remedy)

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema (draft 7) of the parameter, for editors."""
        schema: dict[str, Any] = TypeAdapter(self._adapter_type()).json_schema()
        if self.description:
            schema["description"] = self.description
        if not self.required:
            schema["default"] = to_json(self.default, self.name)
        numbers: dict[str, Any] = _numbers_may_be_fractions(schema)
        return numbers

    def _adapter_type(self) -> Any:
        try:
            TypeAdapter(self.annotation).json_schema()
        except PydanticUserError:
            return Any
        return self.annotation


@dataclass(frozen=True)
class Signature:
    """The ordered parameters of a component.

    Attributes:
        parameters: in the order of the source.
        open: whether any other keyword is taken as well (`**params`).
    """

    parameters: tuple[Parameter, ...] = ()
    open: bool = False

    @property
    def source(self) -> Parameter | None:
        """The parameter that the text after the colon of a name fills."""
        return next((p for p in self.parameters if p.positional), None)

    def validate(
        self, params: Mapping[str, Any], owner: str = "this component", reserved: Sequence[str] = ()
    ) -> dict[str, Any]:
        """All parameters, checked, defaults filled in.

        Args:
            params: what the user gave, JSON-like values.
            owner: the name of the component, for the message.
            reserved: keys beside the parameters that the user may have meant.

        Raises:
            ParameterError: naming the first parameter that is unknown, missing or wrong.
        """
        known = {p.name: p for p in self.parameters}
        for name in params:
            if name not in known and not self.open:
                remedy = _close_or_all(name, known, reserved)
                raise ParameterError(name, f"no such parameter of {owner!r}.", unknown=True, remedy=remedy)
        checked: dict[str, Any] = {}
        for name, parameter in known.items():
            if name in params:
                checked[name] = parameter.check(params[name])
            elif parameter.required:
                wanted = describe(parameter.annotation)
                raise ParameterError(name, "missing", remedy=f"{owner!r} needs it ({wanted}).")
            else:
                checked[name] = parameter.default
        checked.update((name, to_json(value, name)) for name, value in params.items() if name not in known)
        return checked

    def merged(self, other: "Signature") -> "Signature":
        """This signature, closed, with the parameters of a more specific one added or replaced."""
        specific = {p.name: p for p in other.parameters}
        own = tuple(p for p in self.parameters if p.name not in specific)
        return Signature((*own, *specific.values()), open=other.open)

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "Signature":
        """The signature of an imported class or function.

        A parameter whose annotation cannot be resolved (an import for type checkers alone) is not checked; the others are.
        """
        target, docstrings = constructor(function)
        if takes_nothing(target):
            return cls()
        names, sentences = names_around(target), argument_sentences(*docstrings)
        listed = inspect.signature(function).parameters.values()
        kinds = inspect.Parameter
        positional = next(
            (p.name for p in listed if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)), None
        )
        return cls(
            tuple(
                Parameter(
                    p.name,
                    type_of_default(p.default) if p.annotation is REQUIRED else resolved(p.annotation, names),
                    p.default,
                    p.name == positional,
                    sentences.get(p.name, ""),
                )
                for p in listed
                if p.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
            ),
            open=any(p.kind is kinds.VAR_KEYWORD for p in listed),
        )


def _close_or_all(name: str, known: Mapping[str, Parameter], reserved: Sequence[str]) -> str:
    if close := nearest(name, [*known, *reserved]):
        allowed = f" ({known[close[0]].expected})" if close[0] in known else ""
        return f"Did you mean {close[0]!r}?{allowed}"
    return f"It takes {', '.join([*known, *reserved]) or 'none'}."


def type_of_default(default: Any) -> Any:
    """The type of a parameter without an annotation, from its default; plug-ins need no annotations."""
    if isinstance(default, bool | str):
        return type(default)
    return int | float if isinstance(default, int | float) else Any


def argument_sentences(*docstrings: str | None) -> dict[str, str]:
    """The sentences under `Args:` of Google docstrings, by parameter.

    Args:
        docstrings: the closest to the class or function first; where two describe a parameter, the first counts.
    """
    sentences: dict[str, str] = {}
    for text in docstrings:
        sentences = _sentences(inspect.cleandoc(text or "")) | sentences
    return sentences


def _sentences(docstring: str) -> dict[str, str]:
    sentences: dict[str, str] = {}
    inside, indent, name = False, 0, ""
    for line in docstring.splitlines():
        stripped = line.strip()
        depth = len(line) - len(line.lstrip())
        if stripped in ("Args:", "Arguments:", "Attributes:"):
            inside, indent, name = stripped != "Attributes:", depth, ""
        elif inside and stripped and depth <= indent:
            inside = False
        elif inside and (entry := re.match(r"\*{0,2}(\w+)(?: \([^)]*\))?: *(.*)", stripped)) and depth <= indent + 4:
            name = entry[1]
            sentences[name] = entry[2]
        elif inside and stripped and name:
            sentences[name] = f"{sentences[name]} {stripped}"
    return sentences


def to_json(value: Any, name: str = "value") -> Any:
    """A parameter's value as JSON: lists for tuples, text for paths, numbers finite."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ParameterError(name, "expected a finite number.", found=str(value))
        return value
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): to_json(v, name) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(v, name) for v in value]
    raise ParameterError(name, "expected text, a number, a list or a map.", found=f"a {type(value).__name__}")


def fraction(text: str) -> Fraction | None:
    """The exact value of `a/b`; None if the text is something else or b is 0."""
    if not _FRACTION.fullmatch(text) or not int(text.split("/")[1]):
        return None
    return Fraction(text)


def _fractions_as_numbers(value: Any) -> Any:
    if isinstance(value, str):
        exact = fraction(value)
        return value if exact is None else float(exact)
    if isinstance(value, list):
        return [_fractions_as_numbers(v) for v in value]
    if isinstance(value, dict):
        return {k: _fractions_as_numbers(v) for k, v in value.items()}
    return value


def _numbers_may_be_fractions(schema: Any) -> Any:
    """The schema with `8/255` allowed wherever a number is, so that editors accept it."""
    if isinstance(schema, list):
        return [_numbers_may_be_fractions(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    walked = {key: _numbers_may_be_fractions(value) if key != "default" else value for key, value in schema.items()}
    if walked.get("type") != "number":
        return walked
    outer = {key: walked.pop(key) for key in ("description", "default", "title") if key in walked}
    return {**outer, "anyOf": [walked, {"type": "string", "pattern": r"^[-+]?\d+/\d+$"}]}
