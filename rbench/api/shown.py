"""A bar on stderr while images are attacked, where somebody looks at it: a terminal or a notebook."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rbench.harmless import harmless


@contextmanager
def bar(total: int | None, *, wanted: bool) -> Iterator[Callable[..., None]]:
    """A block that tells how far it is: (what is done now, how many more samples are done, how many there are if that is known by now).

    Args:
        total: samples of all attacks; None where they are not known yet.
        wanted: whether the caller wants to see it.
    """
    if not (wanted and (sys.stderr.isatty() or "ipykernel" in sys.modules)):
        yield lambda *step: None
        return
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
    # Streams are left alone: what judging puts back if a purifier changes them must not be ours.
    kept = {"redirect_stdout": False, "redirect_stderr": False}
    with Progress(*columns, *times, console=Console(stderr=True), transient=True, **kept) as bars:
        task = bars.add_task("looking at the models", total=total)

        def told(title: str, count: int, known: int | None = total) -> None:
            bars.update(task, description=harmless(title, 40), advance=count, total=known)

        yield told
