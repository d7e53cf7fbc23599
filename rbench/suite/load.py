"""A suite file to a checked `SuiteSpec`, or one line that says what is wrong and where."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from rbench.errors import InputError
from rbench.signature import describe, kind_of, nearest, show
from rbench.signature.words import wrong_value
from rbench.suite.binding import bind_suite
from rbench.suite.document import FieldPath, Node, Place, parse, read_text
from rbench.suite.override import override
from rbench.suite.spec import SuiteSpec, locate


def load_suite(path: str | Path, overrides: Sequence[str] = ()) -> SuiteSpec:
    """Reads, overrides and checks a suite.

    Args:
        path: the YAML file.
        overrides: `field.path=value` each, e.g. `attacks[0].steps=5` or `dataset.path=images.parquet`.

    Raises:
        InputError: one line, `file:line:col: field.path: what was found. What to do`.
    """
    document = parse(read_text(Path(path)), str(path))
    if document.entries is None:
        found = "an empty file" if document.items is None and document.value is None else kind_of(document.plain())
        needed = ", ".join(name for name, info in SuiteSpec.model_fields.items() if info.is_required())
        raise InputError(f"{Place(str(path), 1, 1)}: found {found}, expected a map with {needed}.")
    for text in overrides:
        override(document, text)
    spec = read_spec(document)
    bind_suite(spec)
    return spec


def read_spec(document: Node) -> SuiteSpec:
    """The spec of a parsed document, components not looked up yet."""
    try:
        spec = SuiteSpec.model_validate(document.plain(), context={"file": True})
    except ValidationError as error:
        raise InputError(_first(document, error)) from None
    spec.remember(document)
    return spec


def _first(document: Node, error: ValidationError) -> str:
    """The error to show: a mistyped key explains a missing one, so it comes first; then the file's order."""
    found: list[tuple[Any, ...]] = []
    for item in error.errors(include_url=False):
        path, annotation, info = _walk(tuple(item["loc"]))
        unknown = item["type"] == "extra_forbidden"
        place = document.find(path, key=unknown)[0]
        found.append((not unknown, place.line, place.column, len(found), path, annotation, info, item))
    *_, path, annotation, info, item = min(found, key=lambda entry: entry[:4])
    unknown = item["type"] == "extra_forbidden"
    return locate(document, path, _detail(path, annotation, info, item), key=unknown)


def _walk(loc: FieldPath) -> tuple[FieldPath, Any, FieldInfo | None]:
    """The field path, type and field of a pydantic location, without pydantic's own steps into unions."""
    annotation: Any = SuiteSpec
    info: FieldInfo | None = None
    path: FieldPath = ()
    for part in loc:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields = {field.alias or name: field for name, field in annotation.model_fields.items()}
            info = fields.get(str(part))
            path = (*path, part)
            if info is None:
                return path, annotation, None
            annotation = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        elif isinstance(part, int) and (item := _item(annotation)) is not None:
            annotation, path = item, (*path, part)
        else:
            break
    return path, annotation, info


def _item(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        return _item(get_args(annotation)[0])
    if get_origin(annotation) is list:
        return get_args(annotation)[0]
    return next((item for a in get_args(annotation) if (item := _item(a)) is not None), None)


def _detail(path: FieldPath, annotation: Any, info: FieldInfo | None, item: Any) -> str:
    kind, value = item["type"], item["input"]
    if kind == "extra_forbidden":
        known = [field.alias or name for name, field in annotation.model_fields.items()]
        close = nearest(str(path[-1]), known)
        return "no such key. " + (f"Did you mean {close[0]!r}?" if close else f"It takes {', '.join(known)}.")
    description = info.description if info and info.description else ""
    if kind == "missing":
        return f"missing. {description or 'Every suite has it.'}"
    if kind == "value_error":
        return str(item["msg"]).removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        return f"found {kind_of(value)}. {description}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        needed = ", ".join(field.alias or name for name, field in annotation.model_fields.items())
        return f"found {kind_of(value)}, expected a map of {needed.removesuffix(', params')}."
    if _item(annotation) is not None and not isinstance(value, list):
        return f"found {kind_of(value)}, expected a list. Write [{show(value) if value is not None else '...'}]."
    if kind == "too_short":
        return f"found the list {show(value)}, expected at least {item['ctx']['min_length']} item."
    if kind == "too_long":
        return f"found {len(value)} items, expected at most {item['ctx']['max_length']}."
    expected = describe(annotation)
    if info and not info.is_required() and info.default is not None and info.default_factory is None:
        expected += f", default {show(info.default)}"
    return wrong_value(value, annotation, expected)
