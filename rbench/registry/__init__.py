"""Names to components, from entry points: metadata first, source text second, imports last."""

from rbench.registry.bound import Bound, bind, load, resolved
from rbench.registry.component import REFUSALS, Component
from rbench.registry.registry import KINDS, Registry, registry, split_name  # from here on `registry` is the function

__all__ = ["KINDS", "REFUSALS", "Bound", "Component", "Registry", "bind", "load", "registry", "resolved", "split_name"]
