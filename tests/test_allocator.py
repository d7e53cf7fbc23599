"""Memory that tensors leave is kept for the next ones."""

import ctypes
import json
import platform
import subprocess
import sys

import pytest

COUNTED = """
import ctypes, json, sys
import torch
from rbench.allocator import keep_freed_memory

FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()

class Counts(ctypes.Structure):  # `struct mallinfo2` of glibc's malloc.h
    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Counts

if sys.argv[1] == "kept":
    assert keep_freed_memory()
before = mallinfo()
made = [torch.ones(2**21) for _ in range(4)]  # 8 MiB each
regions = mallinfo().hblks - before.hblks
del made
print(json.dumps({"regions of their own": regions, "free": mallinfo().fordblks - before.fordblks}))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library hands memory back in ways of its own")
def test_the_system_is_not_asked_again_for_memory_that_was_free():
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("glibc before 2.33 does not count beyond 2 GiB")
    kept, given_back = (
        json.loads(
            subprocess.run([sys.executable, "-c", COUNTED, how], capture_output=True, text=True, check=True).stdout
        )
        for how in ("kept", "given back")
    )
    assert given_back["regions of their own"] >= 4, "what the test is about: each is mapped, and unmapped when it goes"
    assert given_back["free"] < 2**20
    assert kept["regions of their own"] == 0
    assert kept["free"] > 2**24, "the four of them, less what was free before"
