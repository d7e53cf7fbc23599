"""Damaging bytes at random, and the limits that every reader of them has to keep."""

import gc
import os
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from rbench.errors import RbenchError

FEW = 250
"""Cases of a format in `make test`."""
MANY = int(os.environ.get("RBENCH_FUZZ_CASES", "5000"))
"""In `make soak`."""
BOTH = pytest.mark.parametrize("cases", [FEW, pytest.param(MANY, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])

SECOND = 1.0
"""Of processor time that reading may take, which other work on the machine does not change."""
MOST_MEMORY = 512 * 2**20
"""Bytes by which the process may grow."""

NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1]


def some(cases: int) -> settings:
    """So many cases, the same every time where they are few; the files of a test are written anew in each of them."""
    ignored = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=cases, derandomize=cases == FEW, deadline=None, database=None, suppress_health_check=ignored
    )


class TooLong(BaseException):
    """A second of processor time is over."""


@contextmanager
def limited() -> Iterator[None]:
    """Reading inside keeps to a second and half a gigabyte; garbage of the test process itself is collected outside."""

    def over(number: int, frame: Any) -> None:
        raise TooLong

    before, old = _peak(), signal.signal(signal.SIGPROF, over)
    gc.disable()
    signal.setitimer(signal.ITIMER_PROF, SECOND)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)
        gc.enable()
    assert _peak() - before < MOST_MEMORY


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def refusal(read: Callable[[], object]) -> RbenchError | None:
    """The error in one line that a reader answers with, None if it reads; any other exception is a failure of the test."""
    found = None
    with limited():
        try:
            read()
        except RbenchError as error:
            found = error
    assert found is None or (str(found) and "\n" not in str(found)), found
    return found


@st.composite
def damaged(draw: st.DrawFn, files: Sequence[bytes]) -> bytes:
    """One of some files with one to three damages, or bytes that never were a file."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    data = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 3))):
        if not data:
            break
        # What a file says of itself mostly stands at its start or end.
        most = len(data) - 1
        at = draw(st.integers(0, most) | st.integers(0, min(most, 200)) | st.integers(max(0, most - 200), most))
        match draw(st.sampled_from(("cut", "bit", "bit", "byte", "number", "drop", "double", "insert", "move"))):
            case "cut":
                del data[at:]
            case "bit":
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "byte":
                data[at] = draw(st.integers(0, 255))
            case "number":
                size, order = draw(st.sampled_from((1, 2, 4, 8))), draw(st.sampled_from(("little", "big")))
                number = draw(st.sampled_from(NUMBERS)) % 2 ** (8 * size)
                data[at : at + size] = number.to_bytes(size, order)
            case "drop":
                del data[at : at + draw(st.integers(1, 64))]
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 64))]
            case "insert":
                data[at:at] = draw(st.binary(max_size=16))
            case _:
                there = draw(st.integers(0, len(data) - 1))
                data[at : at + 8], data[there : there + 8] = data[there : there + 8], data[at : at + 8]
    return bytes(data)
