"""`rbench schema`: the JSON Schema of suite files, for editors."""

import typer


def command() -> None:
    """Print the JSON Schema of suite files."""
    from rbench.suite.schema import schema_text

    typer.echo(schema_text(), nl=False)
