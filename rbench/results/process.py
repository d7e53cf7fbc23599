"""Who is running: enough about a process to tell later, from a file, whether it still does."""

import os
import socket
import sys
from pathlib import Path
from typing import Any


def identity() -> dict[str, Any]:
    """This process, as JSON values: pid, host, boot id of the machine and start time of the process."""
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "boot": boot_id(),
        "started": started(os.getpid()),
    }


def boot_id() -> str:
    """Differs after every start of the machine; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def started(pid: int) -> int | None:
    """When a process of this machine started, in ticks after the boot; None where that cannot be told."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        # The program's name is in parentheses and may hold anything; the start time is the 20th after it.
        return int(stat.rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


def alive(pid: int) -> bool:
    """Whether a process of this machine runs; True where that cannot be told."""
    if not 0 < pid < 2**31:
        return False
    if sys.platform == "win32":  # signal 0 is a real one there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
