"""SIGINT and SIGTERM: a training finishes its step and stores it before it stops."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def signals() -> Iterator[Callable[[], int]]:
    """Takes SIGINT and SIGTERM: gives a function that returns the number of the first, 0 if none came; a second has its usual effect.

    Python delivers signals to the main thread alone; elsewhere nothing is changed.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the shape of a handler
        came.append(number)
        signal.signal(number, old[number])

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    old: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in old:
        signal.signal(number, note)
    try:
        yield lambda: came[0] if came else 0
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
