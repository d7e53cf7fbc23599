"""Memory that tensors leave is kept for the next ones."""

import platform
import subprocess
import sys

import pytest

COUNTED = """
import resource, sys
import torch
from rbench.allocator import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    made = [torch.ones(2**21) for _ in range(4)]  # 8 MiB each
    del made
before = faults()
for _ in range(20):
    made = [torch.ones(2**21) for _ in range(4)]
    del made
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library hands memory back in ways of its own")
def test_the_system_is_not_asked_again_for_memory_that_was_free():
    counted = {
        how: int(
            subprocess.run([sys.executable, "-c", COUNTED, how], capture_output=True, text=True, check=True).stdout
        )
        for how in ("kept", "given back")
    }
    assert 10 * counted["kept"] < counted["given back"], "page faults of 80 tensors of 2,048 pages"
