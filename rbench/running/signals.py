"""Ctrl-C and SIGTERM: a run stops, what it has finished is kept, and the exit code says so."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rbench.errors import Interrupted, Stopped


@contextmanager
def interruptible() -> Iterator[None]:
    """Turns SIGINT and SIGTERM into `Interrupted` with exit code 130 or 143; a second Ctrl-C is the usual KeyboardInterrupt.

    Python delivers signals to the main thread alone; elsewhere nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise Stopped(number)

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Stopped as stopped:
        raise Interrupted(str(stopped), stopped.exit_code) from None
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
