"""What pydantic finds wrong with a file, as the one line that a user is shown."""

from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from rbench.errors import InputError
from rbench.signature import describe, kind_of, nearest, show
from rbench.signature.words import wrong_value
from rbench.suite.document import FieldPath, Node, Place
from rbench.suite.model import FileModel, locate


def require_map(document: Node, root: type[FileModel]) -> None:
    """Refuses a document that is empty, a list or a scalar."""
    if document.entries is None:
        found = "an empty file" if document.items is None and document.value is None else kind_of(document.plain())
        needed = ", ".join(name for name, info in root.model_fields.items() if info.is_required())
        where = Place(document.place.source, 1, 1)
        raise InputError(f"{where}: found {found}, expected a map with {needed}.")


def first_mistake(document: Node, error: ValidationError, root: type[FileModel]) -> str:
    """The error to show: a mistyped key explains a missing one, so it comes first; then the file's order.

    Args:
        document: what was read.
        error: all that pydantic found.
        root: the model of the file.
    """
    found: list[tuple[Any, ...]] = []
    for item in error.errors(include_url=False):
        path, annotation, info = _walk(tuple(item["loc"]), root)
        unknown = item["type"] == "extra_forbidden"
        place = document.find(path, key=unknown)[0]
        found.append((not unknown, place.line, place.column, len(found), path, annotation, info, item))
    *_, path, annotation, info, item = min(found, key=lambda entry: entry[:4])
    unknown = item["type"] == "extra_forbidden"
    return locate(document, path, _detail(root, path, annotation, info, item), key=unknown)


def _walk(loc: FieldPath, root: type[BaseModel]) -> tuple[FieldPath, Any, FieldInfo | None]:
    """The field path, type and field of a pydantic location, without pydantic's own steps into unions."""
    annotation: Any = root
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


def _detail(root: type[FileModel], path: FieldPath, annotation: Any, info: FieldInfo | None, item: Any) -> str:
    kind, value = item["type"], item["input"]
    if kind == "extra_forbidden":
        if reason := getattr(annotation, "refused", {}).get(str(path[-1])):
            return str(reason)
        known = [field.alias or name for name, field in annotation.model_fields.items()]
        close = nearest(str(path[-1]), known)
        return "no such key. " + (f"Did you mean {close[0]!r}?" if close else f"It takes {', '.join(known)}.")
    description = info.description if info and info.description else ""
    if kind == "missing":
        return f"missing. {description or f'Every {root.noun} has it.'}"
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
