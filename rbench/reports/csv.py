"""The leaderboard as CSV: fractions in full precision, names that no spreadsheet takes for formulas."""

import csv as standard
import io
from typing import Any

from rbench.reports.corruptions import corruptions_csv
from rbench.reports.plain import csv_text
from rbench.results.table import Table


def report(table: Table) -> dict[str, str]:
    """One line for each row, for programs; of common corruptions one for each of them and each severity, in a file of its own."""
    corrupted = {"corruptions.csv": corruptions_csv(table)} if table.corruptions else {}
    return {"leaderboard.csv": csv(table), **corrupted}


def csv(table: Table) -> str:
    """One line for each row of the table, columns by their names; empty where there is none."""
    sink = io.StringIO()
    writer = standard.writer(sink, lineterminator="\n")
    writer.writerow(table.columns)
    for row in table.rows():
        writer.writerow([_field(row[name]) for name in table.columns])
    return sink.getvalue()


def _field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ";".join(csv_text(str(one)) for one in value)
    return csv_text(value) if isinstance(value, str) else repr(value)
