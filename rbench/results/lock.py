"""One writer a run folder: a lock file that names its holder and outlives nobody."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rbench.errors import InputError
from rbench.results import disk
from rbench.results.files import writing
from rbench.results.process import alive, boot_id, identity, started

if sys.platform != "win32":
    import fcntl


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, taking it over if its holder is dead.

    The system's own lock on the file decides where there is one: it goes with its holder, however that died.
    The content is for the message, for file systems without such locks, and for a holder on another machine.

    Raises:
        InputError: another process holds it; the message names its pid and host.
    """
    handle, exclusive = _open(path)
    try:
        with writing(path):
            disk.truncate(handle)
            disk.write(handle, json.dumps({**identity(), "exclusive": exclusive}).encode())
            disk.sync(handle)
        try:
            yield
        finally:
            # Removed before it is let go, so nobody can hold a file that has lost its name.
            with suppress(OSError):
                disk.remove(path)
    finally:
        os.close(handle)


def _open(path: Path) -> tuple[int, bool]:
    while True:
        with writing(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            exclusive = _take(handle)
            holder = _holder(handle)
            if exclusive is False or (holder and _may_run(holder, exclusive=exclusive is True)):
                raise InputError(_message(path, holder))
            if _same_file(handle, path):
                return handle, exclusive is True
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # the last holder removed the name while we waited for nothing: start over


def _take(handle: int) -> bool | None:
    """True: the system gave us the lock; False: another process has it; None: there are no locks here."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _holder(handle: int) -> dict[str, Any]:
    try:
        content = json.loads(os.read(handle, 4096))
    except (ValueError, RecursionError):  # empty or torn: its writer died before it had begun
        return {}
    return content if isinstance(content, dict) and isinstance(content.get("pid"), int) else {}


def _may_run(holder: dict[str, Any], *, exclusive: bool) -> bool:
    here = identity()
    if holder.get("boot") == boot_id() and holder.get("exclusive") and exclusive:
        return False  # it had the system's lock of this very machine, and no longer has
    if holder.get("host") != here["host"]:
        return True  # nothing can be known from here
    if holder.get("boot") != here["boot"]:
        return False  # the machine was started again since
    pid = holder["pid"]
    return alive(pid) and holder.get("started", started(pid)) == started(pid)


def _same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _message(path: Path, holder: dict[str, Any]) -> str:
    if not holder:
        return f"{path.parent}: another process is writing this run. Wait for it, or choose another --out."
    return (
        f"{path.parent}: process {holder['pid']} on {str(holder.get('host'))[:80]} is writing this run. "
        f"Wait for it, or choose another --out; if it is gone, delete {path}."
    )


@dataclass(frozen=True)
class Writer:
    """Who says in a lock file that it writes.

    Attributes:
        pid: of the process.
        host: its machine.
        runs: whether it still does; None on another machine, which cannot be asked from here.
    """

    pid: int
    host: str
    runs: bool | None


def writer_of(path: Path) -> Writer | None:
    """Who holds a lock file by what it says; the lock itself is not touched, so that asking disturbs nobody. None if nobody does."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        holder = _holder(handle)
    finally:
        os.close(handle)
    if not holder:
        return None
    elsewhere = holder.get("host") != identity()["host"]
    return Writer(holder["pid"], str(holder.get("host"))[:80], None if elsewhere else _may_run(holder, exclusive=False))
