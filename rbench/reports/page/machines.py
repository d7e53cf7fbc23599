"""The machines and versions that cells were run with: each is listed once on the page, since most cells share them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rbench.reports.page.words import pairs

OWN = frozenset({"date", "images_sha256", "weights_sha256", "last_run_seconds", "batch_size"})
"""What provenance has of one cell alone."""

Machine = Sequence[tuple[str, str]]
"""Names and values, such as device, platform and versions."""


def own(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is said of one cell alone."""
    return pairs({name: one for name, one in provenance.items() if name in OWN})


def machine(provenance: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What other cells share; empty if nothing is said."""
    return tuple(pairs({name: one for name, one in provenance.items() if name not in OWN}))


def machines(provenances: Iterable[Mapping[str, Any]]) -> dict[Machine, str]:
    """Every machine with its anchor, in the order in which they are met."""
    found = dict.fromkeys(one for provenance in provenances if (one := machine(provenance)))
    return {one: f"machine-{place}" for place, one in enumerate(found, 1)}
