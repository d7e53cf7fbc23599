"""Which cells a suite has and what they are called, from its text: no file is opened, and no component looked up but for a sweep."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rbench.suite.binding import labels_of
from rbench.suite.spec import SuiteSpec
from rbench.suite.sweep import Entries, entries


class Title(NamedTuple):
    """The labels of a cell, and its radius as cells hold it."""

    backbone: str
    purifier: str
    eps: str
    attack: str


def titles(spec: SuiteSpec) -> Iterator[Title]:
    """The title of every cell, in the order of the plan.

    Raises:
        InputError: two parts have one label, or a component of a sweep is unknown.
    """
    listed = entries(spec)
    backbones, purifiers, attacks = (
        labels_of(spec, parts) for parts in (listed.backbones, listed.purifiers, listed.attacks)
    )
    for backbone, purifier, eps, attack in together(spec, listed, purifiers):
        yield Title(backbones[backbone], purifiers[purifier], str(spec.threat.eps[eps].exact), attacks[attack])


def together(spec: SuiteSpec, listed: Entries, purifiers: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Which parts make a cell: places of backbone, purifier, radius and attack, in the order of the plan.

    Args:
        spec: the suite.
        listed: its parts.
        purifiers: labels of its purifiers, the baseline among them.
    """
    for backbone, (behind, _) in enumerate(listed.backbones):
        for purifier, label in enumerate(purifiers):
            for eps in range(len(spec.threat.eps)):
                for attack, (own, _) in enumerate(listed.attacks):
                    if all(part.purifiers is None or label in part.purifiers for part in (behind, own)):
                        yield backbone, purifier, eps, attack
