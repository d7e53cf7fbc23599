"""The members of AutoAttack, and the steps, starts, targets and queries that each version gives them."""

from collections.abc import Mapping
from typing import Literal

from rbench.attacks.apgd import apgd
from rbench.attacks.fab import fab, fab_t
from rbench.attacks.square import square
from rbench.threat.attack import IterativeAttack
from rbench.threat.terms import Norm

Version = Literal["standard", "plus", "rand", "custom"]
Member = Literal["apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square"]

MEMBERS: Mapping[Version, tuple[Member, ...]] = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
    "rand": ("apgd-ce", "apgd-dlr"),
}
STEPS, QUERIES, TARGETS = 100, 5000, 9
RAND_EOT = 20
"""Draws per gradient of `rand`."""
RESTARTS: Mapping[Version, int] = {"standard": 1, "plus": 5, "rand": 1, "custom": 5}
"""Starts of the members that aim at no class: APGD and FAB."""
L1_RESTARTS, L1_TARGETS = 5, 5
"""Under L1 the standard version has more starts of APGD and fewer targets (Croce & Hein 2021, arXiv 2103.01208, section 5)."""


def member_of(member: Member, version: Version, norm: Norm) -> IterativeAttack:
    """A member with the budget that it has in a version under a norm."""
    short = version == "standard" and norm == "L1"
    starts = L1_RESTARTS if short else RESTARTS[version]
    if member == "apgd-ce":
        return apgd(steps=STEPS, restarts=starts, loss="ce")
    if member == "apgd-dlr":
        return apgd(steps=STEPS, restarts=starts, loss="dlr")
    if member == "apgd-t":
        return apgd(steps=STEPS, loss="dlr-targeted", targets=L1_TARGETS if short else TARGETS)
    if member == "fab":
        return fab(steps=STEPS, restarts=starts)
    return fab_t(steps=STEPS, targets=TARGETS) if member == "fab-t" else square(queries=QUERIES)


def restarts_said(version: Version) -> dict[str, str]:
    """A note on the starts of a custom version, which are the defaults of the authors' code and stand in no suite."""
    return {"restarts": f"{RESTARTS[version]} starts of apgd-ce, apgd-dlr and fab"} if version == "custom" else {}
