"""AutoAttack: its members and budgets, run by the driver or by the authors' code."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Interval

from rbench.attacks.autoattack_members import MEMBERS, RAND_EOT, Member, Version, member_of, restarts_said
from rbench.errors import InputError
from rbench.threat.ladder import Ladder, Measured, Rung
from rbench.threat.terms import ANY_PATH, Norm

if TYPE_CHECKING:
    from rbench.threat.attack import ExternalAttack

NORMS: tuple[Norm, ...] = ("Linf", "L2", "L1")
BATCHED = True

BLACK_BOX_VERSIONS = ("standard", "plus")
BLACK_BOX_MEMBERS = ("square",)
"""What asks for outputs only: the versions that have a member of this kind, and these members."""

Engine = Literal["native", "reference"]


def autoattack(
    *,
    version: Version = "standard",
    attacks: list[Member] | None = None,
    engine: Engine = "native",
    batch_size: Annotated[int, Interval(ge=1, le=100_000)] = 128,
) -> "Ladder | ExternalAttack":
    """AutoAttack (Croce & Hein 2020, arXiv 2003.01690): APGD, FAB and Square, each on the samples that survived those before it.

    Both engines run the same members with the same steps, targets, starts and queries. The native one is rbench's own code: samples leave
    as soon as they are fooled, every draw belongs to a sample, and the record says what each member did. The reference is the authors'
    code, which draws per batch, so that there the batch size is part of the cell. For few classes the number of targets is cut to
    classes - 1, and a margin loss replaces DLR where it needs more classes than there are; the record says so.

    Args:
        version: `standard`, `plus`, `rand` (EOT over 20 draws, for random defences) or `custom`.
        attacks: the members to run, for `custom` only.
        engine: `native` or `reference`.
        batch_size: samples attacked at once.
    """
    if (version == "custom") != bool(attacks):
        raise InputError(
            f"attacks: is for version: custom, and needed there (got version {version}, attacks {attacks})"
        )
    if engine == "reference":
        from rbench.attacks.autoattack_reference import reference

        return reference(version, attacks, batch_size)
    members = tuple(attacks or MEMBERS[version])
    if len(set(members)) != len(members):
        raise InputError(f"attacks: names a member twice (got {attacks})")

    def rungs(measured: Measured) -> Iterator[Rung]:
        eot = max(RAND_EOT, measured.eot) if version == "rand" and measured.random else measured.eot
        for member in members:
            yield Rung(member, member_of(member, version, measured.norm), measured.path, eot)

    return Ladder(
        lambda measured: tuple(rungs(measured)),
        batch_size,
        NORMS,
        ANY_PATH,
        knows="black-box" if set(members) <= set(BLACK_BOX_MEMBERS) else "white-box",
        said=lambda classes: restarts_said(version),
    )
