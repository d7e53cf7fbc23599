"""A table of one row as a notebook shows it: the row of the page, with its doubts and attacks, in one piece of HTML without scripts."""

from typing import TYPE_CHECKING, Any

from rbench.reports.page.marks import axis
from rbench.reports.plain import line, named, percent, visible
from rbench.results.flags.catalogue import FLAGS

if TYPE_CHECKING:
    from rbench.results.table import Table


def row_html(table: "Table") -> str:
    """The first row of a table."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("rbench.reports", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "name": named, "line": line}
    fields = table.rows()[0]
    records = [cell.record for cell in table.cells[0] if cell.record is not None]
    doubts = [(flag, FLAGS[flag.name]) for flag in table.doubts[0]]
    return environment.get_template("notebook.html").render(
        fields=fields, axis=axis(fields), records=records, doubts=doubts
    )


def _shown(value: Any) -> Any:
    if value is None:
        return "-"
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
