"""How long a worker may take for a span, as the user says it. Imports no torch."""

import math
from contextlib import suppress

from rbench.errors import InputError


def timeout_of(asked: str | None) -> float | None:
    """Seconds; None for any time.

    Raises:
        InputError: no number above 0.
    """
    if asked is None:
        return None
    with suppress(ValueError):
        seconds = float(asked)
        if 0 < seconds < math.inf:
            return seconds
    raise InputError("expected seconds above 0", place="--timeout", found=repr(asked))
