"""Rows of a run folder judged side by side, each worker in a process of its own."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from rbench.engine.devices import resolve_device
from rbench.engine.precision import use_full_float32
from rbench.errors import RbenchError
from rbench.fresh_process import begin
from rbench.running.components import Components
from rbench.suite.plan import Plan
from rbench.verifying.fresh import TO_END
from rbench.verifying.verify import Demand, JudgedRow, Rows


class RowLostError(RbenchError):
    """The process that judged a row has ended without an answer."""


def judged_apart(
    root: Path, plan: Plan, device: str, demand: Demand, names: Mapping[str, float], workers: int
) -> Iterator[JudgedRow]:
    """What is found of every row, in their order.

    Args:
        root: the run folder.
        plan: of its suite.
        device: where models live.
        demand: how much is to be verified.
        names: of the rows, see `Rows`, and what attacking each took; the costliest are judged first, so that no worker is left with one.
        workers: processes.

    Raises:
        RbenchError: a component is wrong, or a process has ended.
    """
    begun = [begin(serve, root, plan, device, demand) for _ in range(min(workers, len(names)))]
    try:
        waiting, told = sorted(names, key=names.__getitem__), list(names)[::-1]
        found = dict[str, JudgedRow]()
        busy: dict[Any, str] = {}
        for _, connection in begun:
            _send(connection, busy, waiting)
        while told:
            for ready in wait(list(busy)):
                name = busy.pop(ready)
                found[name] = _answer(ready)
                _send(ready, busy, waiting)
            while told and told[-1] in found:
                yield found.pop(told.pop())
        for process, connection in begun:
            connection.close()
            process.join(TO_END)
    finally:
        for process, connection in begun:
            process.kill()
            process.join()
            connection.close()


def _send(connection: Any, busy: dict[Any, str], waiting: list[str]) -> None:
    if waiting:
        busy[connection] = waiting.pop()
        connection.send(busy[connection])


def _answer(connection: Any) -> JudgedRow:
    try:
        answer: JudgedRow | RbenchError = connection.recv()
    except EOFError:
        problem = "a process that judged a row ended without an answer"
        raise RowLostError(problem, remedy="--workers 0 shows why") from None
    if isinstance(answer, RbenchError):
        raise answer
    return answer


def serve(connection: Connection, root: Path, plan: Plan, device: str, demand: Demand) -> None:
    """Judges the rows that it is sent until nobody is there to send one."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all processes of a terminal; the one that began this decides
    use_full_float32()
    rows: Rows | None = None
    with suppress(EOFError, OSError):
        while True:
            name = connection.recv()
            try:
                rows = rows or Rows(root, plan, Components(resolve_device(device)), demand)
                answer: JudgedRow | RbenchError = rows.judged(name)
            except RbenchError as error:
                answer = error
            connection.send(answer)
