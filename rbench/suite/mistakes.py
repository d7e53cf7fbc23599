"""The errors that pydantic reports of a file, as the one line that a user is shown."""

from importlib.metadata import version
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from rbench.errors import InputError
from rbench.signature import Mistake, describe, kind_of, nearest, show
from rbench.signature.words import wrong_value
from rbench.suite.document import FieldPath, Node, Place, dotted
from rbench.suite.model import FileModel, place_of


def require_map(document: Node, root: type[FileModel]) -> None:
    """Refuses a document that is empty, a list or a scalar."""
    if document.entries is None:
        found = "an empty file" if document.items is None and document.value is None else kind_of(document.plain())
        needed = ", ".join(name for name, info in root.model_fields.items() if info.is_required())
        where = Place(document.place.source, 1, 1)
        raise InputError(f"expected a map with {needed}.", place=where, found=found)


def first_mistake(document: Node, error: ValidationError, root: type[FileModel]) -> InputError:
    """The error to raise: the first unknown key, since a mistyped key is why another is missing; else the first error in the file.

    Args:
        document: what was read.
        error: all errors that pydantic reports.
        root: the model of the file.
    """
    mistakes: list[tuple[Any, ...]] = []
    for item in error.errors(include_url=False):
        path, annotation, info = _walk(tuple(item["loc"]), root)
        unknown = item["type"] == "extra_forbidden"
        place = document.find(path, key=unknown)[0]
        mistakes.append((not unknown, place.line, place.column, len(mistakes), path, annotation, info, item))
    *_, path, annotation, info, item = min(mistakes, key=lambda entry: entry[:4])
    unknown = item["type"] == "extra_forbidden"
    mistake = _mistake(root, path, annotation, info, item)
    where = place_of(document, path, key=unknown)
    return InputError(mistake.problem, place=where, found=mistake.found, remedy=mistake.remedy)


def argument_mistake(error: ValidationError, root: type[FileModel]) -> InputError:
    """The first error of a model that was filled by keywords and not from a file, in the words that a file would get.

    Args:
        error: all errors that pydantic reports.
        root: the model.
    """
    item = error.errors(include_url=False)[0]
    path, annotation, info = _walk(tuple(item["loc"]), root)
    mistake = _mistake(root, path, annotation, info, item)
    return InputError(mistake.problem, place=dotted(path), found=mistake.found, remedy=mistake.remedy)


def _walk(loc: FieldPath, root: type[BaseModel]) -> tuple[FieldPath, Any, FieldInfo | None]:
    """The field path, type and field of a pydantic location, without the entries that pydantic adds for members of a union."""
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


def _mistake(root: type[FileModel], path: FieldPath, annotation: Any, info: FieldInfo | None, item: Any) -> Mistake:
    kind, value = item["type"], item["input"]
    if kind == "extra_forbidden":
        return _unknown_key(str(path[-1]), annotation)
    description = info.description if info and info.description else ""
    if kind == "missing":
        return Mistake("missing.", remedy=description or f"Every {root.noun} has it.")
    if kind == "value_error":
        cause = item["ctx"]["error"]
        return cause if isinstance(cause, Mistake) else Mistake(str(cause), found=kind_of(value))
    found = kind_of(value)
    if kind == "string_pattern_mismatch":
        return Mistake(f"found {found}.", found=found, remedy=description)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        needed = ", ".join(field.alias or name for name, field in annotation.model_fields.items())
        return Mistake(f"expected a map of {needed.removesuffix(', params')}.", found=found)
    if _item(annotation) is not None and not isinstance(value, list):
        remedy = f"Write [{show(value) if value is not None else '...'}]."
        return Mistake("expected a list.", found=found, remedy=remedy)
    if kind == "too_short":
        return Mistake(f"expected at least {item['ctx']['min_length']} item.", found=found)
    if kind == "too_long":
        return Mistake(f"expected at most {item['ctx']['max_length']}.", found=f"{len(value)} items")
    expected = describe(annotation)
    if info and not info.is_required() and info.default is not None and info.default_factory is None:
        expected += f", default {show(info.default)}"
    return wrong_value(value, annotation, expected)


def _unknown_key(key: str, model: Any) -> Mistake:
    if reason := getattr(model, "refused", {}).get(key):
        return Mistake(str(reason), remedy="Remove it.")
    known = [field.alias or name for name, field in model.model_fields.items()]
    if key in getattr(model, "versions", ()):
        here = f"rbench {version('rbench')}"
        problem = f"no such key; {here} reads {model.noun} files without a version, a later rbench this one."
        return Mistake(problem, remedy=f"It takes {', '.join(known)}.")
    close = nearest(key, known)
    return Mistake("no such key.", remedy=f"Did you mean {close[0]!r}?" if close else f"It takes {', '.join(known)}.")
