"""The reference of the command line, from the signatures that make it: a function `command` for each verb."""

import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from rbench.cli.examples import EXAMPLES
from rbench.cli.main import VERBS
from tools.reference.words import code, table

_TAKES = {int: "N", float: "X", str: "TEXT"}


@dataclass(frozen=True)
class Term:
    """An argument or an option of a verb.

    Attributes:
        written: as one types it: `SUITE`, `--limit N`.
        default: the value if it is not given, empty if there is none.
        said: its help.
        is_option: whether it is an option.
    """

    written: str
    default: str
    said: str
    is_option: bool


def commands() -> str:
    """A section for each verb: what it does, its arguments, its options."""
    said = {verb: inspect.getdoc(_function(verb)) or "" for verb in VERBS}
    parts = [table(["command", "does"], [[f"[{code(verb)}](#rbench-{verb})", _first(said[verb])] for verb in VERBS])]
    for verb in VERBS:
        found = terms(verb)
        line = " ".join(["rbench", verb, *(term.written for term in found if not term.is_option)])
        options = " [OPTIONS]" if any(term.is_option for term in found) else ""
        parts += [f"## rbench {verb}", said[verb], f"```text\n{line}{options}\n```"]
        if found:
            rows = [[code(term.written), term.default, term.said] for term in found]
            parts.append(table(["argument or option", "default", "means"], rows))
        parts.append("```text\n" + "\n".join(EXAMPLES[verb]) + "\n```")
    return "\n\n".join(parts)


def terms(verb: str) -> list[Term]:
    """Arguments and options of a verb, the arguments first."""
    function = _function(verb)
    hints = get_type_hints(function, include_extras=True)
    found = [_term(one, *get_args(hints[one.name])) for one in inspect.signature(function).parameters.values()]
    return sorted(found, key=lambda term: term.is_option)


def _function(verb: str) -> Callable[..., None]:
    function: Callable[..., None] = import_module(f"rbench.cli.{verb}").command
    return function


def _first(said: str) -> str:
    return said.partition("\n")[0]


def _term(one: inspect.Parameter, annotation: Any, info: ArgumentInfo | OptionInfo, *_: object) -> Term:
    required = one.default is inspect.Parameter.empty
    default = "" if required or one.default in (None, False) else code(str(one.default))
    said = info.help or ""
    if isinstance(info, ArgumentInfo):
        return Term(info.metavar or one.name.upper(), "required" if required else default, said, is_option=False)
    declared = [text for text in (info.default, *(info.param_decls or ())) if str(text).startswith("-")]
    name = " ".join(map(str, declared)) or "--" + one.name.strip("_").replace("_", "-")
    takes = "" if annotation is bool else info.metavar or _takes(annotation)
    return Term(f"{name} {takes}".strip(), "required" if required else default, said, is_option=True)


def _takes(annotation: Any) -> str:
    if get_origin(annotation) in (Union, types.UnionType):
        return _takes(next(one for one in get_args(annotation) if one is not type(None)))
    if get_origin(annotation) is Literal:
        return "|".join(map(str, get_args(annotation)))
    return _TAKES.get(annotation, "TEXT")
