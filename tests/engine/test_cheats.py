"""Cheating purifiers and backbones are judged right, refused, or flagged so that their row cannot rank (docs/judging.md, section 5)."""

from types import SimpleNamespace

import pytest
from cheats import BACKBONES, EPS, PURIFIERS, images, net

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


def verdict(attack, *, purifier=None, backbone=None, **budget):
    """What comes of a cell: `refused`, `right` (nothing is left), `provisional` (below all others), or flags that speak of it."""
    x, y = images()
    asked = {"eps": EPS, "draws": 4, "select_draws": 16, "attack": attack, **ATTACKS[attack], **budget}
    try:
        found = rbench.evaluate(backbone or net(), x, y, purifier=purifier, **asked)
    except CellFailed as failure:
        return f"refused: {failure}"
    if found.robust_accuracy.value <= SLACK:
        return "right"
    record = SimpleNamespace(audit=found.audit, flags=found.flags, attack=SimpleNamespace(label=attack))
    if of_its_batch(found.audit) or (attack != "adaptive" and _misled(record)):
        return "provisional"
    told = found.flag_names & {"leaks", "not-logits", "zero-gradients"}
    return f"{found.robust_accuracy.value:.2f} {' '.join(sorted(told))}".strip()


REFUSED = {
    *("inverts what requires a gradient", "the stored image to what requires a gradient", "inverts in grad mode"),
    *("inverts in grad mode what requires none", "inverts unless the judge is in the stack"),
    *("turns after some calls", "turns after some calls with gradients", "statistics of earlier batches"),
    "logits without gradients alone",
}
"""Whatever the attack."""
STORED = {"the stored image", "the stored image by a small key", "the stored image, a little noisy"}
"""Whoever has the images in memory is right about them all; that they came from there is what the flag says."""

BLACK_BOX = {"flipped gradients", "detached logits"}
"""Backbones that only a black box can attack, which takes more queries."""
SQUASHED = {"quantised logits without a gradient", "hard labels", "sigmoids that saturate"}
"""Backbones on which even the black box finds little. Their rows rank where it has run, with flags that say why."""


@pytest.mark.parametrize("attack", ATTACKS)
def test_without_a_cheat_nothing_is_left(attack):
    assert verdict(attack) == "right"


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("cheat", [*PURIFIERS, *BACKBONES])
def test_a_cheat_is_judged_right_refused_or_kept_from_ranking(cheat, attack):
    made = {"purifier": PURIFIERS[cheat]()} if cheat in PURIFIERS else {"backbone": BACKBONES[cheat]()}
    found = verdict(attack, **made, **({"queries": 1500} if cheat in BLACK_BOX and attack == "adaptive" else {}))
    if cheat in REFUSED:
        assert found.startswith("refused")
    elif cheat in STORED:
        assert found in ("provisional", "1.00 leaks", "1.00 leaks zero-gradients")
    elif cheat in SQUASHED and attack == "adaptive":
        assert found.split()[1:], "no flag"
    else:
        assert found.partition(":")[0] in ("right", "provisional", "refused")


def test_every_cheat_has_a_name_of_its_own():
    assert not PURIFIERS.keys() & BACKBONES.keys()
    assert PURIFIERS.keys() | BACKBONES.keys() >= REFUSED | STORED
