"""What the cells of a suite are called, from its text alone: no component is looked up, no file opened."""

from collections.abc import Iterator
from typing import NamedTuple

from rbench.suite.binding import BASELINE, labels_of
from rbench.suite.spec import PurifierSpec, SuiteSpec


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
    purifiers = list(spec.purifiers)
    if not any(part.name == BASELINE for part in purifiers):
        purifiers.insert(0, PurifierSpec(name=BASELINE, params={}))
    names = {
        kind: labels_of(spec, [(part, (kind, i)) for i, part in enumerate(parts)])
        for kind, parts in (("backbones", spec.backbones), ("purifiers", purifiers), ("attacks", spec.attacks))
    }
    for backbone, behind in zip(names["backbones"], spec.backbones, strict=True):
        for purifier in names["purifiers"]:
            for eps in spec.threat.eps:
                for attack, own in zip(names["attacks"], spec.attacks, strict=True):
                    if all(part.purifiers is None or purifier in part.purifiers for part in (behind, own)):
                        yield Title(backbone, purifier, str(eps.exact), attack)
