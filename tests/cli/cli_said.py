"""A command in this process: its exit code and what it printed."""

import pytest

from rbench.cli.main import main


def said(capsys, *arguments):
    """Exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as done:
        main(list(map(str, arguments)))
    printed = capsys.readouterr()
    return int(done.value.code or 0), printed.out, printed.err
