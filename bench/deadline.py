"""A limit of time for several pieces of work together."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType


class OutOfTimeError(BaseException):
    """No time is left; no `except Exception` of the work that it ends may swallow it."""


@dataclass
class Deadline:
    """When to be done.

    Attributes:
        seconds: from the start.
        clock: seconds that have passed.
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    start: float = field(init=False)

    def __post_init__(self) -> None:
        self.start = self.clock()

    def left(self, at_most: float = float("inf")) -> float:
        """Seconds left, or fewer."""
        return max(0.0, min(at_most, self.seconds - (self.clock() - self.start)))

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Ends a block when no time is left; for the main thread.

        Raises:
            OutOfTimeError: before the block, or within it.
        """
        if not self.left():
            raise OutOfTimeError

        def ring(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
            raise OutOfTimeError

        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, self.left())
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
