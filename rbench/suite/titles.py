"""Which cells a suite has and what they are called, from its text alone: no component is looked up, no file opened."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rbench.suite.binding import labels_of, purifiers_of
from rbench.suite.spec import SuiteSpec


class Title(NamedTuple):
    """The labels of a cell, and its radius as cells hold it."""

    backbone: str
    purifier: str
    eps: str
    attack: str


def titles(spec: SuiteSpec) -> Iterator[Title]:
    """The title of every cell, in the order of the plan.

    Raises:
        InputError: two parts have one label.
    """
    backbones = labels_of(spec, [(part, ("backbones", i)) for i, part in enumerate(spec.backbones)])
    purifiers = labels_of(spec, purifiers_of(spec))
    attacks = labels_of(spec, [(part, ("attacks", i)) for i, part in enumerate(spec.attacks)])
    for backbone, purifier, eps, attack in together(spec, purifiers):
        yield Title(backbones[backbone], purifiers[purifier], str(spec.threat.eps[eps].exact), attacks[attack])


def together(spec: SuiteSpec, purifiers: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Which parts make a cell: places of backbone, purifier, radius and attack, in the order of the plan.

    Args:
        spec: the suite.
        purifiers: labels of its purifiers, the baseline among them.
    """
    for backbone, behind in enumerate(spec.backbones):
        for purifier, label in enumerate(purifiers):
            for eps in range(len(spec.threat.eps)):
                for attack, own in enumerate(spec.attacks):
                    if all(part.purifiers is None or label in part.purifiers for part in (behind, own)):
                        yield backbone, purifier, eps, attack
