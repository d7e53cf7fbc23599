"""The leaderboard as a page of HTML: no network, no other file up to some size, and readable without scripts."""

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from rbench.reports.gallery import KINDS
from rbench.reports.page.budget import shares
from rbench.reports.page.view import page
from rbench.reports.page.words import some
from rbench.reports.plain import line, named, percent, visible, worded
from rbench.results.table import Table

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

PAGE, MORE = "leaderboard.html", "leaderboard.more.html"
"""The page, and the file beside it with what would make the page slow to open."""


def report(table: Table) -> dict[str, str]:
    """A page to search, sort and open, with evidence and pictures of every row; of large tables part of them in a second file."""
    text, more = _pages(table)
    return {PAGE: text, **({MORE: more} if more else {})}


def html(table: Table) -> str:
    """The page as text; the same records give the same bytes."""
    return _pages(table)[0]


def html_beside(table: Table) -> str:
    """The file beside the page; empty where the page holds everything."""
    return _pages(table)[1]


def _pages(table: Table) -> tuple[str, str]:
    from markupsafe import Markup

    environment = _environment()
    style, script = (
        files("rbench.reports.page").joinpath(name).read_text("utf-8") for name in ("style.css", "script.js")
    )
    seen = page(table)
    row: Any = environment.get_template("row.html").module
    shared = shares(
        seen.rows,
        lambda one, pictures: row.evidence(one, "", pictures),
        lambda one: row.evidence(one, PAGE, pictures=True),
        row.sheets,
    )
    common = {"page": seen, "style": Markup(style), "style_hash": _hash(style)}
    text = environment.get_template("page.html").render(
        **common, evidence=shared.here, script=Markup(script), script_hash=_hash(script)
    )
    if not shared.beside:
        return text, ""
    return text, environment.get_template("more.html").render(**common, beside=shared.beside)


def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("rbench.reports", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "prose": _prose,
        "name": _of(named),
        "words": _of(worded),
        "line": _of(line),
        "first_word": lambda text: text.split()[0],
    }
    environment.globals |= {"picture_kinds": KINDS, "page_name": PAGE, "more_name": MORE, "counted": some}
    return environment


def _shown(value: Any) -> Any:
    """A value as the template shows it: `-` for None; in text, invisible characters and those that reverse writing are spelled out."""
    if value is None:
        return "-"
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _of(shorten: Callable[[str], str]) -> Callable[[Any], Any]:
    """A filter for the template, where None stays what it is."""
    return lambda value: None if value is None else shorten(value)


def _prose(text: str) -> "Markup":
    """A sentence of this package whose words between backticks are code."""
    from markupsafe import Markup, escape

    parts = [escape(visible(part)) for part in text.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)
    )


def _hash(text: str) -> str:
    """The hash by which the content security policy of the page allows a style or script: that of the text between the tags."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
