"""Text from records as each format takes it: anybody can have written it, and none of it may act on a page or a spreadsheet."""

import html
import re

from rbench.harmless import LINE, NAME, STORED, harmless

_MARKDOWN = re.compile(r"([\\`*_\[\]|~#!])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str) -> str:
    """The text with control, bidirectional and other invisible characters spelled out."""
    return harmless(text)


def named(text: str) -> str:
    """A name, no longer than leaves room for the numbers beside it."""
    return harmless(text, NAME)


def line(text: str) -> str:
    """A value or a sentence that is read in full where it is opened."""
    return harmless(text, LINE)


def worded(text: str) -> str:
    """A sentence of a record or about a file, such as why a cell failed, no longer than is read."""
    return harmless(text, STORED)


def markdown_text(text: str) -> str:
    """The text as a cell of a Markdown table: no markup, no HTML, no new column."""
    return _MARKDOWN.sub(r"\\\1", html.escape(worded(text), quote=False))


def markdown_name(text: str) -> str:
    """The same of a name."""
    return markdown_text(named(text))


def csv_text(text: str) -> str:
    """The text as a CSV field that no spreadsheet takes for a formula."""
    safe = visible(text)
    return f"'{safe}" if safe.startswith(_FORMULA) or text.startswith(_FORMULA) else safe


def percent(share: float | None) -> str:
    """A fraction as percent with one decimal, `-` if there is none."""
    return "-" if share is None else f"{100 * share:.1f}"
