"""rbench: honest robustness numbers for purifiers, image transforms in front of a frozen classifier."""

from typing import TYPE_CHECKING, Any

from rbench.offline import tell_libraries as _tell_libraries

__version__ = "0.1.0"
__all__ = ["__version__", "evaluate", "load", "read", "register"]

if TYPE_CHECKING:
    from rbench.api import evaluate, load, read, register


def __getattr__(name: str) -> Any:
    """Imports the public functions when they are first used: `import rbench` stays cheap."""
    if name not in __all__:
        raise AttributeError(f"module 'rbench' has no attribute {name!r}")
    from rbench import api

    return getattr(api, name)


_tell_libraries()
