"""What a process has once and code of a third party may change: saved before that code runs, put back after it, and told.

Imported by rooms that must not import torch, so torch is asked only where it has been imported already.
"""

import os
import random
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import TextIOWrapper
from opcode import opmap
from types import ModuleType
from typing import Any

from rbench.errors import Stopped
from rbench.harmless import STORED, one_line, text_of
from rbench.process_settings import Setting, of_python, of_torch

Undo = Callable[[], None]
_ENDING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE", "SIGALRM", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)
_STREAMS = {1: "standard output (file descriptor 1)", 2: "standard error (file descriptor 2)"}


class Notes:
    """Lines about changed states that nobody has been shown yet; each is told once in a process."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._new: list[str] = []

    def add(self, owner: str, what: str) -> None:
        """Notes that `owner` changed something of the process, which was put back."""
        self.say(f"{owner} changed {what}; it was put back")

    def say(self, line: str) -> None:
        """Notes a line that the user should see."""
        if line not in self._told:
            self._told.add(line)
            self._new.append(line)

    def take(self) -> list[str]:
        """The lines since the last call."""
        new, self._new = self._new, []
        return new

    def forget(self) -> None:
        """Makes every line news again, for another run in the same process."""
        self._told.clear()
        self._new.clear()


NOTES = Notes()


def users_own(error: BaseException) -> bool:
    """Whether an exception is the user's interrupt, and not one that code of a third party raised to end the process.

    While a run is `interruptible` a first Ctrl-C is `Stopped`; a KeyboardInterrupt comes from the keyboard only under Python's handler, and
    between two steps of some code, not by its `raise`.
    """
    if isinstance(error, KeyboardInterrupt):
        return signal.getsignal(signal.SIGINT) is signal.default_int_handler and not _raised(error)
    return isinstance(error, Stopped)


def _raised(error: BaseException) -> bool:
    """Whether the code in which an exception began has a `raise` there."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    code, place = trace.tb_frame.f_code.co_code, trace.tb_lasti
    return 0 <= place < len(code) and code[place] == opmap["RAISE_VARARGS"]


def said(error: BaseException) -> str:
    """The type and the text of an exception, on one line, as it may be stored."""
    return one_line(f"{type(error).__name__}: {text_of(error) or 'no reason given'}", STORED)


@contextmanager
def kept(owner: str) -> Iterator[None]:
    """A block that runs code of a third party; the state of the process is afterwards what it was, and what had changed is noted.

    Kept are the settings of `rbench.process_settings`, the global generators of torch, NumPy and Python, the working directory, file
    descriptors 1 and 2, `sys.stdout` and `sys.stderr`, and the handlers of signals that end a process. That a generator was drawn from is
    no news; that torch's was seeded is.

    Args:
        owner: whose code runs, for the notes, e.g. `purifier 'jpeg'`.
    """
    with ExitStack() as after:
        settings = (_held(owner, of_python()), _torch(owner))
        parts = (_working_directory(owner), *_streams(owner), *_handlers(owner), *_generators(owner), *settings)
        for put_back in parts:
            after.callback(put_back)
        yield


def _working_directory(owner: str) -> Undo:
    try:
        before = os.open(".", os.O_RDONLY)  # a descriptor, since the folder may be renamed meanwhile
    except OSError:
        return lambda: None
    place = os.fstat(before)

    def put_back() -> None:
        try:
            now: os.stat_result | None = os.stat(".")  # noqa: PTH116 - beside fstat of the descriptor
        except OSError:
            now = None
        if now is None or not os.path.samestat(place, now):
            os.fchdir(before)
            NOTES.add(owner, "the working directory")
        os.close(before)

    return put_back


def _streams(owner: str) -> Iterator[Undo]:
    for name in ("stdout", "stderr"):  # put back last, since a new one needs its descriptor
        yield _stream(owner, name)
    for number, words in _STREAMS.items():
        yield _descriptor(owner, number, words)


def _descriptor(owner: str, number: int, words: str) -> Undo:
    try:
        saved = os.dup(number)
    except OSError:  # closed by whoever started us
        return lambda: None
    before = os.fstat(saved)

    def put_back() -> None:
        try:
            now: os.stat_result | None = os.fstat(number)
        except OSError:
            now = None
        if now is None or not os.path.samestat(before, now) or stat.S_IFMT(before.st_mode) != stat.S_IFMT(now.st_mode):
            os.dup2(saved, number)
            NOTES.add(owner, words)
        os.close(saved)

    return put_back


def _stream(owner: str, name: str) -> Undo:
    before = getattr(sys, name)
    was_open = not getattr(before, "closed", True)

    def put_back() -> None:
        if was_open and before.closed:
            number = {"stdout": 1, "stderr": 2}[name]
            again = TextIOWrapper(
                os.fdopen(number, "wb", closefd=False), errors="backslashreplace", line_buffering=True
            )
            setattr(sys, name, again)
            NOTES.add(owner, f"sys.{name} (closed it)")
        elif getattr(sys, name) is not before:
            setattr(sys, name, before)
            NOTES.add(owner, f"sys.{name}")

    return put_back


def _handlers(owner: str) -> Iterator[Undo]:
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _ENDING:
        yield _handler(owner, number)


def _handler(owner: str, number: signal.Signals) -> Undo:
    before = signal.getsignal(number)

    def put_back() -> None:
        now = signal.getsignal(number)
        # The first Ctrl-C gives the second one back to Python.
        if now is before or before is None or now is signal.default_int_handler:
            return
        signal.signal(number, before)
        NOTES.add(owner, f"the handler of {number.name}")

    return put_back


def _generators(owner: str) -> Iterator[Undo]:
    state = random.getstate()
    yield lambda: random.setstate(state)
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "random"):
        numpys = numpy.random.get_state()
        yield lambda: numpy.random.set_state(numpys)
    torch: Any = _torch_module()
    if torch is None:
        return
    seed, torchs = torch.initial_seed(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None

    def put_torchs() -> None:
        if torch.initial_seed() != seed:
            NOTES.add(owner, "the seed of torch's global generator")
        torch.set_rng_state(torchs)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)

    yield put_torchs


def _torch(owner: str) -> Undo:
    torch: Any = _torch_module()
    if torch is None:
        return lambda: _as_imported(owner)
    return _held(owner, of_torch(torch))


def _held(owner: str, settings: Iterable[Setting]) -> Undo:
    before: list[tuple[Setting, Any]] = []
    for setting in settings:
        with suppress(Exception):  # a version of a library that has no such setting
            before.append((setting, setting.get()))

    def put_back() -> None:
        for setting, value in before:
            # A getter that was broken on purpose must not hide the failure that is on its way.
            with suppress(Exception):
                _put(owner, setting, value)

    return put_back


def _put(owner: str, setting: Setting, value: Any) -> None:
    now = setting.get()
    if now != value:
        setting.put(value)
        NOTES.add(owner, f"{setting.name} (to {now})" if setting.shown else setting.name)


def _as_imported(owner: str) -> None:
    """Puts back what code changed that imported torch itself, by what torch starts with."""
    torch: Any = _torch_module()
    if torch is None:
        return
    first = {"torch's default dtype": torch.float32, "torch's grad mode": True}
    for setting in of_torch(torch):
        if setting.name in first:
            _put(owner, setting, first[setting.name])


def _torch_module() -> ModuleType | None:
    module = sys.modules.get("torch")
    return module if module is not None and hasattr(module, "get_default_dtype") else None
