"""What something costs, in units that a busy machine does not change: instructions, bytes, or the time of a reference beside it."""

import sys
import time
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

Work = Callable[[], Any]
Tracer = Callable[[FrameType, str, object], Any]


def instructions(work: Work) -> int:
    """Instructions of Python bytecode that are executed; what C does in one of them counts as one."""
    count = 0

    def inside(frame: FrameType, event: str, argument: object) -> Tracer:
        nonlocal count
        count += event == "opcode"
        return inside

    def entered(frame: FrameType, event: str, argument: object) -> Tracer:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return inside

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def times_as_long(work: Work, reference: Work, tries: int = 5) -> float:
    """Processor time of `work` over that of `reference`: the least of several tries of each, taken in turn."""
    taken: dict[Work, list[float]] = {work: [], reference: []}
    for _ in range(tries):
        for one, seconds in taken.items():
            start = time.process_time()
            one()
            seconds.append(time.process_time() - start)
    return min(taken[work]) / min(taken[reference])


def waited(work: Work) -> float:
    """Seconds on the wall; an upper bound for what the work says of itself, never to be held to a number."""
    start = time.monotonic()
    work()
    return time.monotonic() - start


def allocated(work: Work) -> int:
    """Bytes of Python objects that it holds at its peak, beyond those held before."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
