"""How far it is, while images are attacked, where somebody looks at it: a bar on a terminal, a line in a notebook."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module

from rbench.harmless import harmless

Told = Callable[[str, int, int | None], None]
"""(what is done now, how many more samples are done, how many there are if that is known)"""

WIDTH = 40
SECONDS = 0.5
"""Between two updates of the line."""


def bar(*, wanted: bool) -> AbstractContextManager[Told]:
    """A block that tells how far it is; nothing is shown where nobody looks, such as in a log.

    Args:
        wanted: whether the caller wants to see it.
    """
    if wanted and _in_notebook():
        return _line()
    if wanted and sys.stderr.isatty():
        return _bar()
    return nullcontext(lambda title, count, total: None)


def _in_notebook() -> bool:
    """Whether a kernel runs this process; its library alone may be imported anywhere."""
    running = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(running, "kernel", None) is not None


@contextmanager
def _bar() -> Iterator[Told]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=16), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    console = Console(stderr=True)
    # Streams are left alone: what judging puts back if a purifier changes them must not be ours.
    with Progress(
        *columns, *times, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as bars:
        task = bars.add_task("looking at the models", total=None)

        def told(title: str, count: int, total: int | None) -> None:
            bars.update(task, description=harmless(title, WIDTH), advance=count, total=total)

        yield told


@contextmanager
def _line() -> Iterator[Told]:
    """By IPython alone: bars of rich in a notebook want widgets."""
    handle = import_module("IPython.display").display({"text/plain": ""}, raw=True, display_id=True)
    done, last = 0, time.monotonic()

    def told(title: str, count: int, total: int | None) -> None:
        nonlocal done, last
        done += count
        if time.monotonic() - last >= SECONDS:
            last = time.monotonic()
            handle.update({"text/plain": f"{harmless(title, WIDTH)}: {done} of {total or '?'} samples"}, raw=True)

    try:
        yield told
    finally:
        handle.update({"text/plain": ""}, raw=True)
