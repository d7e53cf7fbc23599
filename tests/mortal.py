"""A process that dies at an operation of the disk: every change of a run folder goes through `rbench.results.disk`."""

from collections.abc import Callable
from typing import Any

import pytest

from rbench.results import disk

OPERATIONS = [name for name, value in vars(disk).items() if callable(value) and value.__module__ == disk.__name__]


class Killed(BaseException):
    """The process died here; nothing of it runs on."""


class Mortal:
    """Counts operations of the disk and dies at one of them, writing half of what it was to write.

    Nothing is changed on the disk after that, as by a process that is gone.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, die_at: int | None = None) -> None:
        self.count, self.die_at, self.dead = 0, die_at, False
        for name in OPERATIONS:
            monkeypatch.setattr(disk, name, self._wrapped(name, getattr(disk, name)))

    def _wrapped(self, name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            if self.dead:
                raise Killed
            self.count += 1
            if self.count == self.die_at:
                self.dead = True
                if name == "write":
                    operation(arguments[0], arguments[1][: len(arguments[1]) // 2])
                raise Killed
            return operation(*arguments)

        return run
