"""For tests of rbench and of plug-ins: the conformance kit, a gate for robust accuracies, and defences whose right verdict is known."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rbench.testing.suite_runs import assert_robust_accuracy

__all__ = ["assert_robust_accuracy"]


def __getattr__(name: str) -> Any:
    """Imports what is public when it is first used: pytest imports this package wherever rbench is installed."""
    if name not in __all__:
        raise AttributeError(f"module 'rbench.testing' has no attribute {name!r}")
    from rbench.testing import suite_runs

    return getattr(suite_runs, name)
