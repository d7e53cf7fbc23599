"""The leaderboard as one self-contained page of HTML: no network, no other file, and readable without scripts."""

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from rbench.reports.gallery import KINDS
from rbench.reports.page.view import page
from rbench.reports.plain import line, named, percent, visible, worded
from rbench.results.table import Table

if TYPE_CHECKING:
    from markupsafe import Markup


def report(table: Table) -> dict[str, str]:
    """A page to sort, filter and open, with the evidence and pictures of every row."""
    return {"leaderboard.html": html(table)}


def html(table: Table) -> str:
    """The page as text; the same records give the same bytes."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    style, script = (
        files("rbench.reports.page").joinpath(name).read_text("utf-8") for name in ("style.css", "script.js")
    )
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
    }
    environment.globals["picture_kinds"] = KINDS
    return environment.get_template("page.html").render(
        page=page(table),
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


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
