"""What a model, an attack or a file of others does wrong while it is verified: a fault with its name, never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

from rbench.errors import CellFailed, MissingError, RbenchError
from rbench.running.signals import Stopped

_THROUGH = (KeyboardInterrupt, Stopped, MissingError)
"""What ends verifying: its user, and an environment that lacks a module or a file."""


@contextmanager
def blamed(name: str) -> Iterator[None]:
    """Turns whatever fails inside into `CellFailed`, `SystemExit` of a model included.

    Args:
        name: of the model that is run, for the message.

    Raises:
        CellFailed: something failed inside.
    """
    try:
        yield
    except (*_THROUGH, CellFailed):
        raise
    except RbenchError as error:
        raise CellFailed(str(error)) from error
    except BaseException as error:
        words = " ".join(str(error).split())
        raise CellFailed(f"{name}: {type(error).__name__}{f': {words}' if words else ''}") from error
