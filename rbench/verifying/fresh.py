"""A fresh process for every row: what a model was shown in this one, it cannot remember there."""

import os
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from rbench.engine.precision import use_full_float32
from rbench.errors import CellFailed
from rbench.fresh_process import begin
from rbench.process_state import said

TO_END = 2.0
"""Seconds that a process may take to end by itself once its work is done."""


def asked_afresh(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of a module returns in a fresh process with the environment and working directory of this one.

    Tensors go there and back by value: one of a GPU that is only shared is gone with the process that made it.

    Args:
        function: found there by its module and name.
        arguments: that pickle.

    Raises:
        CellFailed: the process ended without an answer.
    """
    process, here = begin(_answer)
    try:
        with suppress(OSError):  # it has ended already
            here.send_bytes(pickle.dumps((function, arguments)))
        answer = here.recv()
        process.join(TO_END)
        return answer
    except EOFError:
        process.join()
        raise CellFailed(
            f"the fresh process that judged it ended without an answer (exit code {process.exitcode})"
        ) from None
    finally:
        process.kill()
        process.join()
        here.close()


def _answer(asker: Connection) -> None:
    use_full_float32()
    try:
        function, arguments = asker.recv()
        asker.send_bytes(pickle.dumps(function(*arguments)))
    except BaseException as error:  # one line, where `multiprocessing` would print a traceback
        sys.stderr.write(f"{said(error)}\n")
        sys.stderr.flush()
        os._exit(1)
