"""What a model, an attack or a file of others does wrong while it is verified: a fault with its name, never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

from rbench.errors import CellFailed, MissingError, RbenchError
from rbench.process_state import said, users_own


@contextmanager
def blamed(name: str) -> Iterator[None]:
    """Turns whatever fails inside into `CellFailed`, `SystemExit` of a model included.

    What goes through is the user's own interrupt, and an environment that lacks a module or a file.

    Args:
        name: of the model that is run, for the message.

    Raises:
        CellFailed: something failed inside.
    """
    try:
        yield
    except (MissingError, CellFailed):
        raise
    except RbenchError as error:
        raise CellFailed(str(error)) from error
    except BaseException as error:
        if users_own(error):
            raise
        raise CellFailed(f"{name}: {' '.join(said(error).split())}") from error
