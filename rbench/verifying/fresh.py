"""A fresh process for every row: what a model was shown in this one, it cannot remember there.

`multiprocessing` starts one server with torch imported and nothing run, which forks for each question; where a system has no such
server, every question has a process of its own from the start.
"""

import os
import sys
from collections.abc import Callable
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from rbench.errors import CellFailed
from rbench.process_state import said


def asked_afresh(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of a module returns in a fresh process with the environment and working directory of this one.

    Args:
        function: found there by its module and name.
        arguments: that pickle.

    Raises:
        CellFailed: the process ended without an answer.
    """
    import torch

    forks = "forkserver" in get_all_start_methods()
    context: Any = get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload([function.__module__])
    here, there = context.Pipe(duplex=False)
    state = str(Path.cwd()), dict(os.environ), torch.get_num_threads()
    process = context.Process(target=_answer, args=(there, state, function, arguments), daemon=True)
    _start(process)
    there.close()
    try:
        return here.recv()
    except EOFError:
        process.join()
        raise CellFailed(
            f"the fresh process that judged it ended without an answer (exit code {process.exitcode})"
        ) from None
    finally:
        process.kill()
        process.join()
        here.close()


def _start(process: BaseProcess) -> None:
    """Starts it without the script that is being run: it would be run again, up to where it asks for a process itself."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        process.start()
    finally:
        sys.modules["__main__"] = script


def _answer(
    answer: Connection,
    state: tuple[str, dict[str, str], int],
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    import torch

    folder, environment, threads = state
    os.dup2(2, 1)  # what models print is no output of the command
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(threads)
    try:
        answer.send(function(*arguments))
    except BaseException as error:  # one line, where `multiprocessing` would print a traceback
        sys.stderr.write(f"{said(error)}\n")
        sys.stderr.flush()
        os._exit(1)
