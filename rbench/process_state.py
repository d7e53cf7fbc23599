"""What a process has once and code of a third party may change: saved before that code runs, put back after it, and told.

Imported by rooms that must not import torch, so torch is asked only where it has been imported already.
"""

import os
import random
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import TextIOWrapper
from types import ModuleType
from typing import Any

from rbench.errors import Stopped
from rbench.harmless import STORED, one_line, text_of

Undo = Callable[[], None]
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

    While a run is `interruptible` a first Ctrl-C is `Stopped`; a KeyboardInterrupt comes from the keyboard only under Python's handler.
    """
    if isinstance(error, KeyboardInterrupt):
        return signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, Stopped)


def said(error: BaseException) -> str:
    """The type and the text of an exception, on one line, as it may be stored."""
    return one_line(f"{type(error).__name__}: {text_of(error) or 'no reason given'}", STORED)


@dataclass(frozen=True)
class _Setting:
    """One setting of torch.

    Attributes:
        name: in words.
        get: its value.
        put: sets it.
    """

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], object]


def _settings(torch: Any) -> list[_Setting]:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul

    def deterministic(value: tuple[bool, bool]) -> None:
        torch.use_deterministic_algorithms(value[0], warn_only=value[1])

    def flag(owner: Any, name: str, words: str) -> _Setting:
        return _Setting(words, lambda: getattr(owner, name), lambda value: setattr(owner, name, value))

    return [
        _Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        _Setting("torch's grad mode", torch.is_grad_enabled, torch.set_grad_enabled),
        _Setting("torch's default device", torch.get_default_device, lambda value: _put_device(torch, value)),
        _Setting(
            "torch's autocast",
            lambda: (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")),
            lambda value: [torch.set_autocast_enabled(d, on) for d, on in zip(("cpu", "cuda"), value, strict=True)],
        ),
        _Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
        _Setting(
            "torch.use_deterministic_algorithms",
            lambda: (
                torch.are_deterministic_algorithms_enabled(),
                torch.is_deterministic_algorithms_warn_only_enabled(),
            ),
            deterministic,
        ),
        _Setting(
            "torch's float32 matmul precision",
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
        ),
        flag(cudnn, "enabled", "torch.backends.cudnn.enabled"),
        flag(cudnn, "benchmark", "torch.backends.cudnn.benchmark"),
        flag(cudnn, "deterministic", "torch.backends.cudnn.deterministic"),
        flag(cudnn, "allow_tf32", "torch.backends.cudnn.allow_tf32"),
        flag(matmul, "allow_tf32", "torch.backends.cuda.matmul.allow_tf32"),
        _Setting("torch's anomaly mode", torch.is_anomaly_enabled, torch.set_anomaly_enabled),
    ]


def _put_device(torch: Any, device: Any) -> None:
    torch.set_default_device(None if str(device) == "cpu" else device)


@contextmanager
def kept(owner: str) -> Iterator[None]:
    """A block that runs code of a third party; the state of the process is afterwards what it was, and what had changed is noted.

    Kept are torch's settings (default dtype and device, grad mode, autocast, threads, deterministic flags, precision of products), the
    global generators of torch, NumPy and Python, the working directory, file descriptors 1 and 2, `sys.stdout` and `sys.stderr`, and the
    handlers of SIGINT and SIGTERM. That a generator was drawn from is no news; that torch's was seeded is.

    Args:
        owner: whose code runs, for the notes, e.g. `purifier 'jpeg'`.
    """
    with ExitStack() as after:
        parts = (_working_directory(owner), *_streams(owner), *_handlers(owner), *_generators(owner), _torch(owner))
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
    for number in (signal.SIGINT, signal.SIGTERM):
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
    before = [(setting, setting.get()) for setting in _settings(torch)]

    def put_torch() -> None:
        for setting, value in before:
            with suppress(
                Exception
            ):  # a getter that was broken on purpose must not hide the failure that is on its way
                _put(owner, setting, value)

    return put_torch


def _put(owner: str, setting: _Setting, value: Any) -> None:
    now = setting.get()
    if now != value:
        setting.put(value)
        NOTES.add(owner, f"{setting.name} (to {now})")


def _as_imported(owner: str) -> None:
    """Puts back what code changed that imported torch itself, by what torch starts with."""
    torch: Any = _torch_module()
    if torch is None:
        return
    first = {"torch's default dtype": torch.float32, "torch's grad mode": True}
    for setting in _settings(torch):
        if setting.name in first:
            _put(owner, setting, first[setting.name])


def _torch_module() -> ModuleType | None:
    module = sys.modules.get("torch")
    return module if module is not None and hasattr(module, "get_default_dtype") else None
