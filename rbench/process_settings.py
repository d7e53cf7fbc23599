"""The settings that a process has once, of Python, NumPy and torch: how each is read and set.

Imported by rooms that must not import torch, so the libraries are asked only where they have been imported already.
"""

import builtins
import gc
import locale
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_BUILT_IN = tuple(name for name in vars(builtins) if name != "_")  # which prompts set to what they have shown last
_STEERING = ("OMP_", "MKL_", "OPENBLAS_", "RBENCH_", "LD_", "CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE", "NVIDIA_TF32")
"""Beginnings of variables that change numbers or reach the workers; what a library sets for itself, torch for CUDA too, is its own."""

_TOGETHER = 0.5
"""Seconds."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        name: in words.
        get: its value.
        put: sets it.
        shown: whether its value is short enough to be told.
    """

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], object]
    shown: bool = False


def _flag(owner: Any, name: str, words: str, *, shown: bool = True) -> Setting:
    return Setting(words, lambda: getattr(owner, name), lambda value: setattr(owner, name, value), shown)


def of_python() -> Iterator[Setting]:
    """Those of Python and, where it has been imported, of NumPy."""
    yield Setting("Python's trace function", sys.gettrace, sys.settrace)
    yield Setting("Python's profile function", sys.getprofile, sys.setprofile)
    yield Setting("the trace function of threads", threading.gettrace, lambda value: threading.settrace(value))
    yield Setting("Python's recursion limit", sys.getrecursionlimit, sys.setrecursionlimit, shown=True)
    yield Setting("Python's garbage collection", gc.isenabled, lambda on: gc.enable() if on else gc.disable())
    yield _flag(sys, "excepthook", "sys.excepthook", shown=False)
    yield _flag(threading, "excepthook", "threading.excepthook", shown=False)
    yield Setting("Python's built-in functions", _built_in, lambda value: vars(builtins).update(value))
    yield Setting("warnings that are errors", _errors, _put_errors)
    yield Setting("the environment", _environment, _put_environment)
    yield Setting("the mask of new files", _mask, os.umask)
    yield Setting("the locale", lambda: locale.setlocale(locale.LC_ALL), _put_locale)
    if hasattr(signal, "getitimer"):
        yield Setting("the alarm clock of the process", _Alarm.now, _Alarm.put)
    numpy: Any = sys.modules.get("numpy")
    if hasattr(numpy, "seterr"):
        yield Setting("NumPy's handling of errors", numpy.geterr, lambda value: numpy.seterr(**value))


def _built_in() -> dict[str, Any]:
    now = vars(builtins)
    return {name: now.get(name) for name in _BUILT_IN}


def _errors() -> list[Any]:
    return [one for one in warnings.filters if one[0] == "error"]


def _put_errors(value: list[Any]) -> None:
    others = [one for one in warnings.filters if one[0] != "error" and one not in value]
    warnings.filters[:] = [*value, *others]  # type: ignore[index]
    # Python remembers what it decided by the filters until it is told that they changed.
    getattr(warnings, "_filters_mutated", getattr(warnings, "_filters_mutated_lock_held", None))()  # type: ignore[misc]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(_STEERING)}


def _put_environment(value: dict[str, str]) -> None:
    for name in _environment().keys() - value.keys():
        del os.environ[name]
    os.environ.update(value)


def _mask() -> int:
    mask = os.umask(0o077)  # it can only be read by setting it
    os.umask(mask)
    return mask


def _put_locale(value: str) -> None:
    locale.setlocale(locale.LC_ALL, value)


@dataclass(frozen=True)
class _Alarm:
    """When the clock will ring, in seconds of the monotonic clock; None if it will not. Two that ring together are one."""

    at: float | None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Alarm) or self.at is None or other.at is None:
            return isinstance(other, _Alarm) and self.at == other.at
        return abs(self.at - other.at) < _TOGETHER

    @classmethod
    def now(cls) -> "_Alarm":
        left = signal.getitimer(signal.ITIMER_REAL)[0]
        return cls(time.monotonic() + left if left else None)

    def put(self) -> None:
        left = 0.0 if self.at is None else max(self.at - time.monotonic(), 1e-3)
        signal.setitimer(signal.ITIMER_REAL, left)


def of_torch(torch: Any) -> Iterator[Setting]:
    """Those of torch."""
    cudnn, cuda = torch.backends.cudnn, torch.backends.cuda
    yield Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype, shown=True)
    yield Setting("torch's grad mode", torch.is_grad_enabled, torch.set_grad_enabled, shown=True)
    yield Setting("torch's default device", torch.get_default_device, lambda value: _put_device(torch, value), True)
    yield Setting(
        "torch's autocast",
        lambda: (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")),
        lambda value: [torch.set_autocast_enabled(d, on) for d, on in zip(("cpu", "cuda"), value, strict=True)],
        shown=True,
    )
    yield Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads, shown=True)
    yield Setting(
        "torch.use_deterministic_algorithms",
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
        shown=True,
    )
    yield Setting(
        "torch's float32 matmul precision",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
        shown=True,
    )
    yield Setting("torch's flushing of tiny numbers", lambda: _flushes(torch), torch.set_flush_denormal, shown=True)
    yield Setting("torch's anomaly mode", torch.is_anomaly_enabled, torch.set_anomaly_enabled, shown=True)
    for name in ("enabled", "benchmark", "deterministic", "allow_tf32"):
        yield _flag(cudnn, name, f"torch.backends.cudnn.{name}")
    for name in ("allow_tf32", "allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction"):
        yield _flag(cuda.matmul, name, f"torch.backends.cuda.matmul.{name}")
    for name in ("flash", "mem_efficient", "math"):
        words = f"torch.backends.cuda.enable_{name}_sdp"
        yield Setting(words, getattr(cuda, f"{name}_sdp_enabled"), getattr(cuda, f"enable_{name}_sdp"), shown=True)
    yield _flag(torch.backends.mkldnn, "enabled", "torch.backends.mkldnn.enabled")


def _put_device(torch: Any, device: Any) -> None:
    torch.set_default_device(None if str(device) == "cpu" else device)


def _flushes(torch: Any) -> bool:
    tiny = torch.full((), 1e-40, dtype=torch.float32, device="cpu")
    return not bool(tiny * 1)
