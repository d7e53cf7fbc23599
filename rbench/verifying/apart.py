"""Rows of a run folder judged side by side, each worker in a process of its own."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from rbench.engine.devices import resolve_device
from rbench.engine.precision import use_full_float32
from rbench.errors import RbenchError
from rbench.fresh_process import begin
from rbench.running.components import Components
from rbench.suite.plan import Plan
from rbench.verifying.fresh import TO_END, answer_of, begun, end_of
from rbench.verifying.verify import Demand, JudgedRow, Rows

ENDED = "ended"
"""What a worker says when the fresh process of its row has ended without an answer; it is told the exit code."""


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
    team = [_Worker(*begin(serve, root, plan, device, demand)) for _ in range(min(workers, len(names)))]
    try:
        waiting, told = sorted(names, key=names.__getitem__), list(names)[::-1]
        found = dict[str, JudgedRow]()
        for worker in team:
            worker.take(waiting)
        while told:
            busy: dict[Any, _Worker] = {worker.connection: worker for worker in team if worker.name}
            for ready in wait(list(busy)):
                worker = busy[ready]
                answer = worker.heard()
                if answer is not None:
                    found[worker.name] = answer
                    worker.take(waiting)
            while told and told[-1] in found:
                yield found.pop(told.pop())
        for worker in team:
            worker.connection.close()
            worker.process.join(TO_END)
    finally:
        for worker in team:
            worker.end()


@dataclass
class _Worker:
    """A process that judges rows one after another, and the fresh one that shows the model of its row the stored examples.

    Both are begun here: a process that begins others needs a server of its own, which imports torch again.
    """

    process: BaseProcess
    connection: Connection
    name: str = ""
    judge: BaseProcess | None = None

    def take(self, waiting: list[str]) -> None:
        """Sends it the next row, if one is left."""
        self._end_judge()
        self.name = waiting.pop() if waiting else ""
        if self.name:
            self.judge, here = begun()
            with here, suppress(OSError):  # one that has ended is found out by `heard`
                self.connection.send((self.name, here))

    def heard(self) -> JudgedRow | None:
        """Its answer, once it has one."""
        try:
            message: JudgedRow | RbenchError | str = self.connection.recv()
        except EOFError:
            problem = "a process that judged a row ended without an answer"
            raise RowLostError(problem, remedy="--workers 0 shows why") from None
        if isinstance(message, RbenchError):
            raise message
        if isinstance(message, JudgedRow):
            return message
        assert self.judge is not None
        self.connection.send(end_of(self.judge))
        return None

    def end(self) -> None:
        """Kills both."""
        self._end_judge()
        self.process.kill()
        self.process.join()
        self.connection.close()

    def _end_judge(self) -> None:
        if self.judge is not None:
            self.judge.kill()
            self.judge.join()
            self.judge = None


def serve(connection: Connection, root: Path, plan: Plan, device: str, demand: Demand) -> None:
    """Judges the rows that it is sent, each with a connection to a fresh process, until nobody is there to send one."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all processes of a terminal; the one that began this decides
    use_full_float32()
    rows: Rows | None = None
    with suppress(EOFError, OSError):
        while True:
            name, judge = connection.recv()
            try:
                rows = rows or Rows(root, plan, Components(resolve_device(device)), demand)
                answer: JudgedRow | RbenchError = rows.judged(
                    name, partial(answer_of, judge, partial(_ended, connection))
                )
            except RbenchError as error:
                answer = error
            connection.send(answer)


def _ended(connection: Connection) -> int | None:
    connection.send(ENDED)
    code: int | None = connection.recv()
    return code
