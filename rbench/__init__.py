"""rbench: honest robustness numbers for purifiers, image transforms in front of a frozen classifier."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rbench.offline import tell_libraries as _tell_libraries

__version__ = "0.1.0"
__all__ = [
    "Evaluation",
    "__version__",
    "attack",
    "evaluate",
    "load",
    "plan",
    "read",
    "register",
    "run",
    "table",
]

if TYPE_CHECKING:
    from rbench.api.components import load, register
    from rbench.api.judging import attack, evaluate
    from rbench.api.result import Evaluation
    from rbench.api.suites import plan, run, table
    from rbench.results.frames import read

_HOMES = {
    "Evaluation": "rbench.api.result",
    "attack": "rbench.api.judging",
    "evaluate": "rbench.api.judging",
    "load": "rbench.api.components",
    "plan": "rbench.api.suites",
    "read": "rbench.results.frames",
    "register": "rbench.api.components",
    "run": "rbench.api.suites",
    "table": "rbench.api.suites",
}


def __getattr__(name: str) -> Any:
    """Imports what is public when it is first used: `import rbench` stays cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module 'rbench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """What is public, and nothing else."""
    return sorted(__all__)


_tell_libraries()
