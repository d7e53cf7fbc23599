"""The parts of a page that are made, between two comments; what stands around them is written by hand."""

import re


def between(name: str, page: str) -> str:
    """The part of a page that is made under a name.

    Raises:
        ValueError: the page has no such part, or has it twice.
    """
    found = _part(name).findall(page)
    if len(found) != 1:
        raise ValueError(f"{len(found)} parts are made as {name!r}, expected one")
    return str(found[0]).strip("\n")


def with_part(name: str, made: str, page: str) -> str:
    """The page with another content of that part."""
    between(name, page)
    return _part(name).sub(lambda _: f"<!-- made: {name} -->\n\n{made.strip()}\n\n<!-- /made -->", page)


def _part(name: str) -> re.Pattern[str]:
    return re.compile(rf"<!-- made: {re.escape(name)} -->\n(.*?)<!-- /made -->", re.DOTALL)
