"""A suite file to a checked `SuiteSpec`, or one line that says what is wrong and where."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rbench.suite.binding import bind_suite
from rbench.suite.document import Node, parse, read_text
from rbench.suite.mistakes import first_mistake, require_map
from rbench.suite.override import override
from rbench.suite.spec import SuiteSpec


def load_suite(
    path: str | Path, overrides: Sequence[str] = (), on_read: Callable[[Any], object] = lambda document: None
) -> SuiteSpec:
    """Reads, overrides and checks a suite.

    Args:
        path: the YAML file.
        overrides: `field.path=value` each, e.g. `attacks[0].steps=5` or `dataset.path=images.parquet`.
        on_read: called with its maps, lists and scalars before any component is looked up.

    Raises:
        InputError: one line, `file:line:col: field.path: what was found. What to do`.
    """
    document = parse(read_text(Path(path)), str(path))
    require_map(document, SuiteSpec)
    for text in overrides:
        override(document, text)
    spec = read_spec(document)
    on_read(document.plain())
    bind_suite(spec)
    return spec


def read_spec(document: Node) -> SuiteSpec:
    """The spec of a parsed document, components not looked up yet."""
    try:
        spec = SuiteSpec.model_validate(document.plain(), context={"file": True})
    except ValidationError as error:
        raise first_mistake(document, error, SuiteSpec) from None
    spec.remember(document)
    return spec
