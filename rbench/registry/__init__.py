"""Components by name, from entry points; described from metadata and source text, imported only where these do not suffice."""

from rbench.registry.bound import Bound, bind, load, resolved, source_of
from rbench.registry.component import REFUSALS, Component, split_name
from rbench.registry.items import about_item, items_of
from rbench.registry.registry import KINDS, Registry, registry  # from here on `registry` is the function

__all__ = [
    "KINDS",
    "REFUSALS",
    "Bound",
    "Component",
    "Registry",
    "about_item",
    "bind",
    "items_of",
    "load",
    "registry",
    "resolved",
    "source_of",
    "split_name",
]
