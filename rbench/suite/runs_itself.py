"""Whether an attack asks for logits by its own code, or answers the driver."""

from collections.abc import Mapping
from typing import Any

from rbench.registry import Component


def runs_itself(attack: Component, params: Mapping[str, Any]) -> bool:
    """Whether it is the code of others, run as it would be by hand, as far as its module says so.

    Args:
        attack: by its registry name; not imported.
        params: its parameters, defaults filled in.
    """
    return bool(attack.facts().get("batched")) and params.get("engine") != "native"
