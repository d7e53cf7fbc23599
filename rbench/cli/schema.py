"""`rbench schema`: the JSON Schema of suite files, for editors."""

from rbench.cli import terminal


def command() -> None:
    """Print the JSON Schema of suite files."""
    from rbench.suite.schema import schema_text

    terminal.page(schema_text())
