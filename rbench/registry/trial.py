"""A stranger's module is imported in another process first: what would end or spoil a process ends that one."""

import os
import signal
import sys
from importlib import import_module
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from rbench.fresh_process import begin
from rbench.process_state import said
from rbench.signature.source import ModuleMissingError, file_of

WITHIN = 120.0
"""Seconds that an import may take; torch and a dozen libraries take less than ten."""

_TRIED: dict[tuple[Any, ...], str | None] = {}


def fatal(module: str) -> str | None:
    """What a module would do to this process that cannot be put back, as a clause; None if nothing, or if it is imported already.

    Tried once for each state of its file. An ordinary exception is no harm, and says more where it is wanted. A worker believes the process
    that began it, which has tried what it hands out.

    Args:
        module: dotted name.
    """
    if module in sys.modules or parent_process() is not None:
        return None
    key = _state(module)
    if key not in _TRIED:
        _TRIED[key] = _tried(module)
    return _TRIED[key]


def _state(module: str) -> tuple[Any, ...]:
    try:
        path = file_of(module)
        facts = None if path is None else path.stat()
    except (ModuleMissingError, OSError):
        facts = None
    return (module,) if facts is None else (module, facts.st_ino, facts.st_mtime_ns, facts.st_size)


def _tried(module: str) -> str | None:
    try:
        process, here = begin(_import, module)
    except OSError:  # no process can be started here, and none but this one is left to try it in
        return None
    try:
        if not here.poll(WITHIN):
            return f"it was not done after {WITHIN:.0f} s"
        return here.recv()  # type: ignore[no-any-return]
    except (EOFError, OSError):
        process.join()
        return _end_of(process)
    finally:
        process.kill()
        process.join()
        here.close()


def _end_of(process: BaseProcess) -> str:
    code = process.exitcode or 0
    how = f"{signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"it ended the process that it was tried in ({how})"


def _import(there: Connection, module: str) -> None:
    if hasattr(os, "setsid"):  # a Ctrl-C of the user is not for this process; one that comes is the module's own
        os.setsid()
    nothing = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # what it has to say it says once more
        os.dup2(nothing, descriptor)
    try:
        import_module(module)
        harm = _lasting()
    except Exception:
        harm = None
    except BaseException as error:
        harm = said(error)
    there.send(harm)
    os._exit(0)


def _lasting() -> str | None:
    torch: Any = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "is_inference_mode_enabled") and torch.is_inference_mode_enabled():
        return "it left torch's inference mode on, which nobody else can turn off"
    return None
