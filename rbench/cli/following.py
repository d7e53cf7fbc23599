"""What a long command is at: a bar on a terminal, elsewhere a line after a minute of silence; all on stderr."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rbench.cli import terminal
from rbench.harmless import LINE, harmless

if TYPE_CHECKING:
    from rich.progress import Progress

TOLD_FIRST, TOLD_EVERY = 10.0, 60.0
"""Seconds of silence after which a command says what it is at: from its start, and later."""
NAME_WIDTH = 24
"""Columns of a terminal for the name of what is at work."""
_SHORTEST = 0.02


class Following:
    """What a command is at.

    Args:
        bars: of one task; not drawn where there is no terminal.
        unit: what is counted.
    """

    def __init__(self, bars: "Progress", unit: str) -> None:
        self._bars, self._unit, self._at = bars, unit, bars.tasks[0].description
        self._last, self._silence = time.monotonic(), TOLD_FIRST

    def at(self, title: str, name: str = "", done: float | None = None, total: float | None = None) -> None:
        """Shows what is at work and how much is done; a number that is not given stays as it was."""
        self._at = f"{title} {name}".strip()
        shown = f"{title} {short(name, NAME_WIDTH)}".strip()
        self._bars.update(self._bars.task_ids[0], description=shown, completed=done, total=total)

    def tell(self, line: str) -> None:
        """Tells a line that stays."""
        console = self._bars.console
        console.print(harmless(line, LINE), markup=False, soft_wrap=not console.is_terminal)
        self._last, self._silence = time.monotonic(), TOLD_EVERY

    def until(self, over: threading.Event) -> None:
        """Tells what is at work whenever nothing was told for long."""
        while not over.wait(max(self._last + self._silence - time.monotonic(), _SHORTEST)):
            if time.monotonic() - self._last >= self._silence:
                task = self._bars.tasks[0]
                done = f": {task.completed:,.0f} of {task.total:,.0f} {self._unit}" if task.total else ""
                self.tell(f"at work: {self._at}{done}")


@contextmanager
def followed(first: str, unit: str) -> Iterator[Following]:
    """A block that is followed on stderr.

    Args:
        first: what it is at as it begins.
        unit: what is counted.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = terminal.progress()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=16), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=False))
    with Progress(*columns, *times, console=console, transient=True, disable=not console.is_terminal) as bars:
        bars.add_task(first, total=None)
        following = Following(bars, unit)
        if console.is_terminal:
            yield following
            return
        with _told_beside(following.until):
            yield following


@contextmanager
def _told_beside(until: Callable[[threading.Event], None]) -> Iterator[None]:
    over = threading.Event()
    teller = threading.Thread(target=until, args=(over,), daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def short(text: str, width: int) -> str:
    """The text, or its end if it is too long, which tells cells apart better than its start."""
    plain = harmless(text)
    return plain if len(plain) <= width else f"...{plain[-(width - 3) :]}"
