"""How large each row of the table is: images, pairs and what an attack may spend, in full and for a quick look."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

SHARES = ("0.65", "0.30", "0.05", "0")
"""Of samples that survive, about; see `bench.models`."""
SINGLE = ("pgd", "apgd", "apgd-t", "fab-t", "square")
WHOLE = "autoattack"


@dataclass(frozen=True)
class Budget:
    """What one attack may spend; rbench and the others get the same.

    Attributes:
        pgd: steps of PGD.
        steps: of APGD and FAB.
        targets: wrong classes that targeted attacks aim at.
        queries: of Square.
    """

    pgd: int = 40
    steps: int = 100
    targets: int = 9
    queries: int = 500


STANDARD = Budget(queries=5000)
"""That of AutoAttack-standard."""
CUT = Budget(pgd=20, steps=20, targets=3, queries=200)
TINY = Budget(pgd=5, steps=10, targets=2, queries=60)


@dataclass(frozen=True)
class Size:
    """How large a row is.

    Attributes:
        images: attacked together, in one batch of up to 64.
        pairs: rounds in which rbench and each of the others run once.
        budget: of the attack.
    """

    images: int
    pairs: int
    budget: Budget


def sizes(*, quick: bool) -> Iterator[tuple[str, str, str, Size]]:
    """Every row of the table: model, share, attack, size."""
    for model in "abcde":
        for share in SHARES:
            for attack in (*SINGLE, WHOLE):
                size = _quick(model, share, attack) if quick else _full(model, share, attack)
                if size is not None:
                    yield model, share, attack, size


def _full(model: str, share: str, attack: str) -> Size | None:
    if model == "e":
        # 1,000 classes: targets mean little, and a pass is 30 times that of d.
        wanted = share in ("0.65", "0") and attack in ("pgd", "apgd", "square")
        return Size(8, 3, TINY) if wanted else None
    if attack == WHOLE and model == "d":
        return Size(8, 3, CUT) if share in ("0.65", "0.30") else Size(16, 3, STANDARD)
    if attack == WHOLE:
        return Size(32, 3, STANDARD)
    if share not in ("0.65", "0.05"):
        return None
    if model == "d":
        return Size(32, 3, TINY)
    # Every target of every survivor: a pair takes minutes.
    long = share == "0.65" and attack in ("apgd-t", "fab-t")
    return Size(64 if model in "ab" else 32, 3 if long else 7, Budget())


def _quick(model: str, share: str, attack: str) -> Size | None:
    size = _full(model, share, attack)
    if size is None or model in "de" or (attack == WHOLE and share == "0.30"):
        return None
    return replace(size, images=32, pairs=3, budget=CUT)
