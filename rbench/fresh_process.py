"""A process that has run nothing yet, with environment and folder of this one, which finds the same files and trusts the same code.

`multiprocessing` starts one server with torch imported and nothing run, which forks for each process; where a system has no such server,
or torch is not imported here yet, every process starts from nothing. Imports no torch itself: plug-ins are tried where torch is not needed.
"""

import os
import sys
import threading
from collections.abc import Callable
from multiprocessing import get_all_start_methods, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from rbench import elsewhere
from rbench.allocator import keep_freed_memory
from rbench.elsewhere import Elsewhere
from rbench.own_code import Known, known, take


def begin(function: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, Connection]:
    """Starts a fresh process that calls `function(connection, *arguments)`; returns it and the other end of the connection.

    What it prints goes to standard error. It ends when this process ends, however that comes; whoever begins it kills it at the end.

    Args:
        function: found there by its module and name.
        arguments: that pickle.
    """
    torch: Any = sys.modules.get("torch")
    forks = torch is not None and "forkserver" in get_all_start_methods()
    context: Any = get_context("forkserver" if forks else "spawn")
    if forks:
        wanted = [one.__module__ for one in (function, *arguments) if callable(one)]
        context.set_forkserver_preload([*wanted, *_loaded()])
    _track_quietly()
    here, there = context.Pipe()
    threads = None if torch is None else torch.get_num_threads()
    state = str(Path.cwd()), dict(os.environ), threads, known(), elsewhere.told()
    process: BaseProcess = context.Process(target=_call, args=(there, state, function, arguments))
    _start(process)
    there.close()
    return process, here


def _track_quietly() -> None:
    """Starts what cleans up after processes without its warning about locks of those that were killed, as ours are."""
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.pop()


def _loaded() -> list[str]:
    """Our own modules that are imported here: whoever asks the server first, those after him find them there."""
    return [name for name in sys.modules if name.startswith("rbench.") and not name.endswith("__main__")]


def _start(process: BaseProcess) -> None:
    """Starts it without the script that is being run: it would be run again, up to where it asks for a process itself."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        process.start()
    finally:
        sys.modules["__main__"] = script


def _call(
    there: Connection,
    state: tuple[str, dict[str, str], int | None, Known, Elsewhere],
    function: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    keep_freed_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder, environment, threads, told, places = state
    os.dup2(2, 1)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    take(told)
    elsewhere.take(places)
    torch: Any = sys.modules.get("torch")
    if torch is not None and threads is not None:
        torch.set_num_threads(threads)
    function(there, *arguments)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
