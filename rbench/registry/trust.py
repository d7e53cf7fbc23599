"""Which code of the user's own a document names, and letting it run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rbench.errors import InputError
from rbench.own_code import PREFIX, trust
from rbench.registry.own import OwnComponent, own_component


def own_code_in(document: Any) -> list[OwnComponent]:
    """The code that the texts of a document name, each once; what cannot be found is left to whoever looks it up with its place.

    Args:
        document: maps, lists and scalars, such as a suite.
    """
    found: dict[str, OwnComponent] = {}
    for given in _given(document):
        try:
            found[given] = own_component("purifier", given)
        except InputError:
            continue
    return list(found.values())


def let_run(code: Sequence[OwnComponent]) -> None:
    """Lets code run in this process and in those that it begins, as it is now: a later change is refused."""
    trust({one.given: one.source_version for one in code})


def trusting(*, trust: bool) -> Callable[[Any], None]:
    """What is to be done with a suite or arguments: the code that they name may run from now on, if their user has said so."""

    def on_read(document: Any) -> None:
        if trust:
            let_run(own_code_in(document))

    return on_read


def _given(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        prefix, colon, given = document.partition(":")
        if colon and prefix == PREFIX:
            yield given
    elif isinstance(document, Mapping):
        for value in document.values():
            yield from _given(value)
    elif isinstance(document, list | tuple):
        for value in document:
            yield from _given(value)
