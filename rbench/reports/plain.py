"""Text from records made harmless: anybody can have written it, and none of it may act on a terminal, a page or a spreadsheet."""

import html
import re
import unicodedata

_ACTING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_MARKDOWN = re.compile(r"([\\`*_\[\]|~#!])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str) -> str:
    """The text with control, bidirectional and other invisible characters spelled out."""
    return "".join(_spelled(c) if unicodedata.category(c) in _ACTING else c for c in text)


def markdown_text(text: str) -> str:
    """The text as a cell of a Markdown table: no markup, no HTML, no new column."""
    return _MARKDOWN.sub(r"\\\1", html.escape(visible(text), quote=False))


def csv_text(text: str) -> str:
    """The text as a CSV field that no spreadsheet takes for a formula."""
    safe = visible(text)
    return f"'{safe}" if safe.startswith(_FORMULA) or text.startswith(_FORMULA) else safe


def percent(share: float | None) -> str:
    """A fraction as percent with one decimal, `-` if there is none."""
    return "-" if share is None else f"{100 * share:.1f}"


def _spelled(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
