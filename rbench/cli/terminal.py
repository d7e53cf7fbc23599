"""The one way to print: what is said on standard output and standard error, and what becomes of streams that are closed, full or shared."""

import atexit
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import TextIOWrapper
from math import isfinite
from typing import TYPE_CHECKING, Any, TextIO

from rbench.errors import MissingError
from rbench.harmless import LINE, STORED, block, harmless

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

NARROWEST = 80
"""Columns that a table is made for."""

_OWN: list[TextIO | None] = []
"""Where standard output is while a verb runs and `sys.stdout` leads to standard error; the last one counts."""


def say(text: str) -> None:
    """Prints lines on standard output; their breaks are ours, and strings of others in them have been made harmless one by one."""
    _write(f"{block(text)}\n")


def page(text: str) -> None:
    """Prints a text that ends as it should, such as a file that was written too."""
    _write(block(text))


def document(content: Any) -> None:
    """Prints JSON values on standard output; no character of a string acts on a terminal."""
    written(encoded(content, indent=1))


def written(text: str) -> None:
    """Prints a JSON document that is text already."""
    plain = text if text.isascii() else encoded(json.loads(text))
    _write(
        plain.replace("\x7f", "\\u007f") + "\n"
    )  # the one character of ASCII that acts and that JSON leaves as it is


def encoded(content: Any, indent: int | None = None) -> str:
    """Values as JSON, whatever a plug-in has among its facts: what JSON has no word for becomes text."""
    try:
        return json.dumps(content, indent=indent, allow_nan=False)
    except (TypeError, ValueError):
        return json.dumps(_worded(content), indent=indent, allow_nan=False)


def _worded(content: Any) -> Any:
    if isinstance(content, dict):
        return {harmless(name): _worded(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_worded(value) for value in content]
    known = content is None or isinstance(content, str | int) or (isinstance(content, float) and isfinite(content))
    return content if known else harmless(content, STORED)


def show(thing: "RenderableType") -> None:
    """Prints tables on standard output; their strings have been made harmless one by one.

    They are as wide as the terminal is, and never narrower than what keeps every number: a smaller terminal breaks the lines.
    """
    from rich.console import Console

    with _blamed():
        console = Console(file=_stdout())
        console.width = max(console.width, NARROWEST)
        console.print(thing)


def tell(text: object) -> None:
    """Prints one line on standard error, which may hold strings of others. It is lost where there is no standard error.

    A terminal gets it in its own width, broken between words.
    """
    line = harmless(text, LINE)
    with suppress(OSError, ValueError):
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns
            line = textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def note(text: object) -> None:
    """Prints a note on standard error."""
    tell(f"note: {harmless(text, LINE)}")


def asked(question: str) -> bool:
    """Whether somebody at the terminal says yes; nobody does where input or standard error is a pipe or a file."""
    try:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        sys.stderr.write(f"{block(question)} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except (OSError, ValueError, AttributeError):  # closed
        return False


def progress() -> "Console":
    """The console of bars and of lines that say what has ended, on standard error."""
    from rich.console import Console

    return Console(file=_Lossy(sys.stderr), highlight=False)  # type: ignore[arg-type]


class _Lossy:
    """Standard error for those who must not fail if it is full or closed.

    Args:
        stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes what can be written."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes what can be flushed."""
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def alone() -> Iterator[None]:
    """A block in which only this module writes to standard output.

    Whatever else is printed meanwhile goes to standard error: by Python, by C, by a thread, and at the end of the process by what was
    registered for it. So a document on standard output is whole, whoever's code was run to make it.
    """
    stream = sys.stdout
    stream.flush()
    real = _number(stream) == 1
    saved = os.dup(1)
    own = TextIOWrapper(os.fdopen(saved, "wb"), encoding=stream.encoding, errors="backslashreplace") if real else stream
    _OWN.append(own)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(saved, 1)
        _OWN.pop()
        if real:
            with suppress(OSError):  # what could not be written has been told
                own.close()
        else:
            os.close(saved)
        atexit.unregister(_to_stderr)
        atexit.register(_to_stderr)


def _to_stderr() -> None:
    """Runs first of what is registered for the end."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    with suppress(OSError):
        os.dup2(2, 1)


def ready() -> None:
    """Makes the streams fit for any text, and opens the closed ones on nothing: else the next file that is opened gets their number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, TextIOWrapper):  # a label may hold what the terminal's encoding does not
            stream.reconfigure(errors="backslashreplace")


def flushed(*, told: bool = False) -> int:
    """Ends what is on its way to standard output; the exit code that this has, 0 if all went out.

    Args:
        told: whether it was said already that something cannot be written.
    """
    _give_up(sys.stderr)
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # `rbench list ... | head`
        code = 1
    except OSError as error:
        if not told:
            tell(f"error: {unwritable(error)}")
        code = unwritable(error).exit_code
    else:
        return 0
    _give_up(sys.stdout)
    return code


def _give_up(stream: TextIO | None) -> None:
    """Sends what a stream could not write nowhere: the interpreter flushes once more at its end, which must not fail."""
    if stream is None:
        return
    try:
        stream.flush()
    except ValueError:  # it is closed
        return
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _write(text: str) -> None:
    with _blamed():
        stream = _stdout()
        stream.write(text)
        stream.flush()


def _stdout() -> TextIO:
    return (_OWN[-1] if _OWN else None) or sys.stdout


@contextmanager
def _blamed() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable(error) from None


def unwritable(error: OSError) -> MissingError:
    """What is told where standard output does not take what is printed."""
    return MissingError(
        f"cannot be written: {error.strerror}.",
        place="standard output",
        remedy="Send it elsewhere; what was written to files is there.",
    )


def _number(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None
