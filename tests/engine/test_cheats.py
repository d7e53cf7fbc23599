"""Cheating purifiers and backbones are judged right, refused, or flagged so that their row cannot rank (docs/judging.md, section 5)."""

from types import SimpleNamespace

import cheats
import pytest
import torch
from cheats import BACKBONES, CLASSES, EPS, PURIFIERS, images, net

import rbench
from rbench.errors import CellFailed
from rbench.results.flags.gradient_trust import of_its_batch
from rbench.results.row import _misled

ATTACKS = {
    "pgd": {"steps": 10, "eot": 4},
    "adaptive": {"steps": 5, "restarts": 1, "targets": 1, "queries": 200},
    "autoattack": {"version": "custom", "attacks": ["apgd-ce"]},
}
"""Each with a small budget; without a purifier none leaves a sample."""
SLACK = 2 / len(images()[0])
"""Samples that a small budget may leave."""


def verdict(attack, *, purifier=None, backbone=None):
    """What comes of a cell: `refused`, `right` (nothing is left), `provisional` (below all other rows), or flags that speak of the cheat."""
    x, y = images()
    asked = {"eps": EPS, "draws": 4, "select_draws": 16, "attack": attack, **ATTACKS[attack]}
    try:
        found = rbench.evaluate(backbone or net(), x, y, purifier=purifier, **asked)
    except CellFailed as failure:
        return f"refused: {failure}"
    if found.robust_accuracy.value <= SLACK:
        return "right"
    record = SimpleNamespace(audit=found.audit, flags=found.flags, attack=SimpleNamespace(label=attack))
    if of_its_batch(found.audit) or (attack != "adaptive" and _misled(record)):
        return "provisional"
    told = found.flag_names & {"leaks"}
    return f"{found.robust_accuracy.value:.2f} {' '.join(sorted(told))}".strip()
