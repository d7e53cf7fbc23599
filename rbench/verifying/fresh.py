"""A fresh process for every row: what a model was shown in this one, it cannot remember there."""

import os
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from rbench.engine.precision import use_full_float32
from rbench.errors import CellFailed
from rbench.fresh_process import begin
from rbench.process_state import said

TO_END = 2.0
"""Seconds that a process may take to end by itself once its work is done."""


class Ask(Protocol):
    """Asks a fresh process; see `asked_afresh`."""

    def __call__(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """What the function returns there."""
        ...


def asked_afresh(function: Callable[..., Any], /, *arguments: Any) -> Any:
    """What a function of a module returns in a fresh process with the environment and working directory of this one.

    Tensors go there and back by value: one of a GPU that is only shared is gone with the process that made it.

    Args:
        function: found there by its module and name.
        arguments: that pickle.

    Raises:
        CellFailed: the process ended without an answer.
    """
    process, here = begun()
    try:
        answer = answer_of(here, lambda: end_of(process), function, *arguments)
        process.join(TO_END)
        return answer
    finally:
        process.kill()
        process.join()
        here.close()


def begun() -> tuple[BaseProcess, Connection]:
    """A fresh process that waits to be asked one thing, by `answer_of`, and the connection to it; whoever begins it kills it."""
    return begin(_answer)


def end_of(process: BaseProcess) -> int | None:
    """The exit code of a process that has nothing left to do."""
    process.join(TO_END)
    process.kill()
    process.join()
    return process.exitcode


def answer_of(
    here: Connection, ended: Callable[[], int | None], function: Callable[..., Any], /, *arguments: Any
) -> Any:
    """What the function returns in the process at the other end.

    Args:
        here: the connection to it.
        ended: tells its exit code where it has ended without an answer.
        function: found there by its module and name.
        arguments: that pickle.

    Raises:
        CellFailed: the process ended without an answer.
    """
    try:
        with suppress(OSError):  # it has ended already
            here.send_bytes(pickle.dumps((function, arguments)))
        return here.recv()
    except EOFError:
        raise CellFailed(f"the fresh process that judged it ended without an answer (exit code {ended()})") from None


def _answer(asker: Connection) -> None:
    use_full_float32()
    try:
        function, arguments = asker.recv()
    except EOFError:  # nobody has a question any more
        return
    try:
        asker.send_bytes(pickle.dumps(function(*arguments)))
    except BaseException as error:  # one line, where `multiprocessing` would print a traceback
        sys.stderr.write(f"{said(error)}\n")
        sys.stderr.flush()
        os._exit(1)
